/**
 * The files of one configuration, in a directory of their own. `current` leads to the one that HAProxy uses, and is changed in
 * one step.
 *
 * Nothing is synced: no later process reads these files, because a model is always written anew at the start.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { lbErrors } from './errors.ts'
import type { HaproxyModel } from './model.ts'
import { normalizePem } from './model-check.ts'
import {
  type ConfigurationFiles,
  certificateFile,
  certificateListFile,
  mapFile,
  renderCertificateList,
  renderConfiguration,
  renderMap,
} from './render.ts'

const CONFIGURATION = 'haproxy.cfg'
const CURRENT = 'current'

/** Has HAProxy look at a configuration; returns what it says against it, empty when nothing. */
export type ConfigurationCheck = (file: string) => Promise<string>

export class Generations {
  readonly #directory: string
  readonly #sockets: string
  readonly #check: ConfigurationCheck
  /** Tells the configurations of one process of ours from those of another; short, because paths of sockets are. */
  readonly #origin = randomBytes(2).toString('hex')
  #number = 0

  /** @param sockets the directory for sockets */
  constructor(directory: string, sockets: string, check: ConfigurationCheck) {
    this.#directory = directory
    this.#sockets = sockets
    this.#check = check
  }

  /** What HAProxy reads when it starts or reloads. */
  get configurationFile(): string {
    return path.join(this.#directory, CURRENT, CONFIGURATION)
  }

  /**
   * Where HAProxy listens for commands when it has these files. No two configurations share one: a worker that is to end would
   * take commands that are meant for the next.
   */
  adminSocket({ directory }: ConfigurationFiles): string {
    return path.join(this.#sockets, `${path.basename(directory).replace('generation', 'a')}.sock`)
  }

  /**
   * Writes everything that belongs to a model, and has HAProxy look at it.
   *
   * @throws `InvalidModel`; `ConfigurationRefused` with the line that HAProxy does not like. Nothing is left then.
   */
  async write(model: HaproxyModel): Promise<ConfigurationFiles> {
    this.#number += 1
    const directory = path.join(this.#directory, `generation-${this.#origin}-${this.#number}`)
    const files = { directory }
    try {
      const text = renderConfiguration(model, files, this.adminSocket(files))
      await mkdir(directory, { recursive: true, mode: 0o700 })
      for (const { name, pem } of model.certificates) {
        await writeFile(certificateFile(files, name), normalizePem(pem), { mode: 0o600 })
      }
      for (const { name, entries } of model.maps) await writeFile(mapFile(files, name), renderMap(entries))
      for (const { name, binds } of model.frontends) {
        for (const [index, { tls }] of binds.entries()) {
          if (tls === undefined) continue
          await writeFile(
            certificateListFile(files, name, index),
            renderCertificateList(tls.certificates, files),
          )
        }
      }
      const file = path.join(directory, CONFIGURATION)
      await writeFile(file, text, { mode: 0o600 })
      const complaint = await this.#check(file)
      if (complaint !== '') throw refusal(complaint, text)
      return files
    } catch (error) {
      await this.remove(files)
      throw error
    }
  }

  /** Makes these files the ones that HAProxy reads next. */
  async use({ directory }: ConfigurationFiles): Promise<void> {
    const link = path.join(this.#directory, CURRENT)
    await rm(`${link}.new`, { force: true })
    await symlink(path.basename(directory), `${link}.new`)
    await rename(`${link}.new`, link)
  }

  async remove(files: ConfigurationFiles): Promise<void> {
    await rm(files.directory, { recursive: true, force: true })
    await rm(this.adminSocket(files), { force: true })
  }

  /** Removes what an earlier process left, but not what is in use. */
  async removeOthers(files: ConfigurationFiles): Promise<void> {
    const kept = [files.directory, this.adminSocket(files)]
    for (const directory of new Set([this.#directory, this.#sockets])) {
      for (const name of await readdir(directory)) {
        const file = path.join(directory, name)
        if (!/^(?:generation-|a-)/.test(name) || kept.includes(file)) continue
        await rm(file, { recursive: true, force: true })
      }
    }
  }

  /** Removes everything. */
  async removeAll(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#directory)) {
      if (/^(?:generation-|current|master\.pid|a-)/.test(name)) {
        await rm(path.join(this.#directory, name), { recursive: true, force: true })
      }
    }
  }
}

/** The error for what HAProxy said of a configuration: its reason, and the line that it is about. */
export function refusal(stderr: string, text: string): Error {
  const alerts = stderr.split('\n').filter(line => line.includes('[ALERT]'))
  const alert = alerts.find(line => /\[[^\]]+:\d+\]/.test(line)) ?? alerts[0] ?? stderr.trim().slice(0, 300)
  const reason = alert
    .replace(/^\[ALERT\]\s+\(\d+\)\s*:\s*/, '')
    .replace(/(?:config : )?parsing \[[^\]]+:\d+\]\s*:\s*/, '')
    .replaceAll(/\S*\/generation-[\w-]+\//g, '')
    .trim()
  const number = Number(/\[[^\]]+:(\d+)\]/.exec(alert)?.[1] ?? 0)
  const line = text.split('\n')[number - 1]?.trim()
  return lbErrors.ConfigurationRefused({
    object: line === undefined ? 'configuration' : `line ${number}: ${line.slice(0, 300)}`,
    message: reason.slice(0, 500),
  })
}
