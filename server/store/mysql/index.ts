/** The store's engine on MySQL and MariaDB. */
export { isMysqlAddress, parseMysqlAddress } from './address.ts'
export { MysqlDatabase } from './mysql-database.ts'
