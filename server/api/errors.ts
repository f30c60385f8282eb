import { defineErrors } from '../../kit/index.ts'

/** The codes are those of the `/v3` API of 2017, so that its clients understand them. */
export const apiErrors = defineErrors({
  NotFound: { status: 404, message: 'does not exist' },
  MethodNotAllowed: { status: 405, message: 'does not allow this method' },
  MissingRequired: { status: 422, message: 'is required' },
  InvalidFormat: { status: 422, message: 'has an invalid format' },
  InvalidOption: { status: 422, message: 'is not one of the options' },
  InvalidReference: { status: 422, message: 'refers to something that does not exist' },
  InvalidBodyContent: { status: 422, message: 'the body is not a JSON object' },
  InvalidAction: { status: 422, message: 'is not an action of this type' },
  ActionNotAvailable: { status: 409, message: 'is not available in this state' },
  MinLimitExceeded: { status: 422, message: 'is too small' },
  MaxLimitExceeded: { status: 422, message: 'is too large' },
  MinLengthExceeded: { status: 422, message: 'is too short' },
  MaxLengthExceeded: { status: 422, message: 'is too long' },
  InvalidCharacters: { status: 422, message: 'has characters that are not allowed' },
  NotNullable: { status: 422, message: 'must not be null' },
  PortWrongFormat: { status: 422, message: 'is not a port specification' },
  CantDeleteSystemEnvironment: { status: 422, message: 'is the environment of the cluster itself' },
  InvalidState: { status: 409, message: 'is not possible in this state' },
})
