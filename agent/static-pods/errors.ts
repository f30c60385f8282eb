import { defineErrors } from '../../kit/index.ts'

export const staticPodErrors = defineErrors({
  InvalidManifest: {
    status: 422,
    message: 'is not the file of a static pod',
    mend: 'put one Pod of v1 in it, as YAML or JSON; the others run meanwhile',
  },
})
