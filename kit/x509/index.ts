export {
  type CertificateRequest,
  certifyAuthority,
  createCertificateAuthority,
  issueCertificate,
  type KeyPair,
} from './certificates.ts'
export {
  readSigningRequest,
  type SigningOptions,
  type SigningRequest,
  signRequest,
} from './signing-requests.ts'
