import { SMTPServer } from 'smtp-server'
import type { MailServer } from '../../src/worker/delivery/send-mail.ts'

export interface ReceivedMail {
  from: string
  to: string[]
  text: string
}

/** A mail server on this machine, with one user. */
export interface TestMailServer extends AsyncDisposable {
  settings: MailServer
  received: ReceivedMail[]
  /** Passwords that it was given. */
  logins: string[]
  /** Recipients that it refuses. */
  refused: Set<string>
  /** What it answers to a whole mail from now on; null takes it. */
  trouble: { code: number; message: string } | null
}

/** Starts a mail server that takes everything from `holdfast` with its password. */
export async function startMailServer({ host = '127.0.0.1', isSecure = false } = {}): Promise<TestMailServer> {
  const password = 'p@ss w0rd of the mail server'
  const received: ReceivedMail[] = []
  const logins: string[] = []
  const refused = new Set<string>()
  const smtp = new SMTPServer({
    // With a certificate that nobody has signed.
    secure: isSecure,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    logger: false,
    onAuth(auth, _session, done) {
      logins.push(auth.password ?? '')
      if (auth.username === 'holdfast' && auth.password === password) done(null, { user: 'holdfast' })
      else done(Object.assign(new Error(`not the password of ${auth.username}`), { responseCode: 535 }))
    },
    onRcptTo({ address }, _session, done) {
      done(refused.has(address) ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null)
    },
    onData(stream, { envelope }, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        if (server.trouble) {
          const { code, message } = server.trouble
          return done(Object.assign(new Error(message), { responseCode: code }))
        }
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        received.push({
          from,
          to: envelope.rcptTo.map(({ address }) => address),
          text: Buffer.concat(chunks).toString(),
        })
        done()
      })
    },
  })
  // A client that hangs up in the middle of the handshake (it may not trust the certificate) is no failure of ours.
  smtp.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    smtp.server.once('error', reject)
    smtp.listen(0, host, resolve)
  })
  const address = smtp.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const settings = {
    host,
    port,
    isSecure,
    username: 'holdfast',
    password,
    from: 'holdfast@example.com',
  }
  const server: TestMailServer = {
    settings,
    received,
    logins,
    refused,
    trouble: null,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => smtp.close(() => resolve())),
  }
  return server
}
