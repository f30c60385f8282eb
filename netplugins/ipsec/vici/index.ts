export { listOf, sectionOf, sectionsOf, textOf, type ViciSection, type ViciValue } from './message.ts'
export { ViciClient, type ViciEventListener } from './vici-client.ts'
