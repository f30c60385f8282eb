import { defineErrors } from '../../kit/index.ts'

export const composeErrors = defineErrors({
  InvalidYaml: { status: 422, message: 'is not valid YAML' },
  UnknownKey: {
    status: 422,
    message: 'is not a key of this format',
    mend: 'check its spelling or remove it',
  },
  UnsupportedKey: {
    status: 422,
    message: 'is a key that this version does not act on',
    mend: 'remove it, or wait for a version that supports it: ignoring it would deploy something else',
  },
  InvalidValue: { status: 422, message: 'has a value that does not fit' },
  MissingKey: { status: 422, message: 'is missing' },
  UnknownService: { status: 422, message: 'names a service that the file does not have' },
  UpgradeRequired: {
    status: 409,
    message: 'differs in what its containers are made from',
    mend: 'replace them step by step with: drover stack up --upgrade',
  },
})
