/** Files that are either the old or the new content, also after a power cut. */
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { kitErrors, systemErrorCode } from './errors.ts'
import type { Validator } from './schema.ts'

let temporaryNumber = 0

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Replaces a file: writes beside it, syncs, renames, syncs the directory.
 *
 * @param content whole, or in pieces that are asked for one after the other while earlier ones are being written
 * @param mode permission bits; 0600 when absent, because most of what a host agent keeps is nobody's business
 */
export async function writeFileDurably(
  file: string,
  content: string | Uint8Array | Iterable<string>,
  mode = 0o600,
): Promise<void> {
  temporaryNumber += 1
  const temporary = `${file}.${process.pid}.${temporaryNumber}.tmp`
  let handle: FileHandle | undefined
  try {
    handle = await open(temporary, 'wx', mode)
    await handle.writeFile(content)
    await handle.sync()
    await handle.close()
    handle = undefined
    await rename(temporary, file)
  } catch (error) {
    await handle?.close().catch(() => undefined)
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(path.dirname(file))
}

/**
 * Creates a file that must not exist yet.
 *
 * A process that ends in the middle may leave an empty file behind; a reader has to expect that.
 *
 * @returns false, and changes nothing, when there is one already
 */
export async function createFileDurably(
  file: string,
  content: string | Uint8Array,
  mode = 0o600,
): Promise<boolean> {
  let handle: FileHandle
  try {
    handle = await open(file, 'wx', mode)
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false
    throw error
  }
  try {
    await handle.writeFile(content)
    await handle.sync()
  } catch (error) {
    await rm(file, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  await syncDirectory(path.dirname(file))
  return true
}

/** Removes a file for good; a missing one is fine. */
export async function removeFileDurably(file: string): Promise<void> {
  await rm(file, { force: true })
  try {
    await syncDirectory(path.dirname(file))
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

/** Makes a directory and its parents, readable by their owner only. */
export async function makePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
}

/**
 * Reads a JSON file that `writeFileDurably` wrote.
 *
 * @returns undefined when there is no such file
 * @throws `CorruptFile` when it is not JSON or does not fit the schema
 */
export async function readJsonFile<T>(file: string, validator: Validator<T>): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return validator.parse(JSON.parse(text), file)
  } catch (cause) {
    throw kitErrors.CorruptFile({ object: file, cause })
  }
}
