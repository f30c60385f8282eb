export {
  type CertificateRequest,
  certificateChecksum,
  certificateCovers,
  createCertificateAuthority,
  issueCertificate,
  type KeyPair,
} from './certificates.ts'
