export {
  type CertificateRequest,
  createCertificateAuthority,
  issueCertificate,
  type KeyPair,
} from './certificates.ts'
