/**
 * Packages that consist of hundreds of small files. Every process of Drover needs them, and reading them one by one
 * takes most of its start: `npm ci` makes one file of them (`bundle-packages.mjs`), which `#packages` names.
 */
export { execa, type Options as ExecaOptions } from 'execa'
export { type Static, type TSchema, Type } from 'typebox'
export { Compile } from 'typebox/compile'
