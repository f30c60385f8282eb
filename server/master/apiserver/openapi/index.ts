export {
  openApiV2,
  openApiV2Protobuf,
  openApiV3,
  openApiV3Index,
  secondVersionPartProtobuf,
} from './documents.ts'
