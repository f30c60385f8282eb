import { defineErrors } from '../../kit/index.ts'

export const dockerErrors = defineErrors({
  DockerUnreachable: {
    status: 503,
    message: 'cannot be reached',
    mend: 'start Docker, or name its socket with --docker',
  },
  DockerRefused: { status: 502, message: 'refused' },
  ImageUnavailable: {
    status: 404,
    message: 'cannot be pulled',
    mend: 'check the name of the image, and that its registry can be reached from this host',
  },
})
