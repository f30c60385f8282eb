/** Signatures as AWS's own test suite has them, and the XML of its answers. */
import t from 'tap'
import {
  encodeStrictly,
  type SignableRequest,
  signedHeaders,
} from '../../../../netplugins/routed/aws/signature.ts'
import { elementsAt, parseXml, textAt } from '../../../../netplugins/routed/aws/xml.ts'

const CREDENTIALS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}

function signature(change: Partial<SignableRequest>): string | undefined {
  const headers = signedHeaders(
    {
      method: 'GET',
      url: new URL('https://example.amazonaws.com/'),
      headers: {},
      body: '',
      region: 'us-east-1',
      service: 'service',
      time: new Date('2015-08-30T12:36:00Z'),
      ...change,
    },
    CREDENTIALS,
  )
  return headers.authorization
}

const SCOPE = 'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request'

t.test('the test suite of signature version 4', async t => {
  t.equal(
    signature({}),
    `${SCOPE}, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31`,
    'get-vanilla',
  )
  t.equal(
    signature({ url: new URL('https://example.amazonaws.com/?Param2=value2&Param1=value1') }),
    `${SCOPE}, SignedHeaders=host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500`,
    'get-vanilla-query-order-key-case',
  )
  t.equal(
    signature({
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: 'Param1=value1',
    }),
    `${SCOPE}, SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a`,
    'post-x-www-form-urlencoded',
  )
  t.equal(encodeStrictly("a b/c!'()*~"), 'a%20b%2Fc%21%27%28%29%2A~')
})

t.test('temporary credentials are part of what is signed', async t => {
  const request: SignableRequest = {
    method: 'POST',
    url: new URL('https://ec2.eu-central-1.amazonaws.com/'),
    headers: {},
    body: '',
    region: 'eu-central-1',
    service: 'ec2',
    time: new Date(0),
  }
  const headers = signedHeaders(request, { ...CREDENTIALS, sessionToken: 'token' })
  t.equal(headers['x-amz-security-token'], 'token')
  t.match(headers.authorization, 'SignedHeaders=host;x-amz-date;x-amz-security-token')
})

t.test('answers', async t => {
  const root = parseXml(
    '<?xml version="1.0" encoding="UTF-8"?>\n<A xmlns="http://x/"><!-- no --><set><item><id>one &amp; &#x41;</id><e/></item>' +
      '<item><id>two</id></item></set></A>',
  )
  t.equal(root.name, 'A')
  t.strictSame(
    elementsAt(root, 'set/item').map(item => textAt(item, 'id')),
    ['one & A', 'two'],
  )
  t.equal(textAt(root, 'set/item/e'), undefined)
  t.equal(textAt(root, 'none/id'), undefined)
})

t.test('what is no answer', async t => {
  const wrong = ['', 'text', '<a>', '<a><b></a></b>', '</a>', '<a>'.repeat(100), '<a'.repeat(10_000)]
  for (const text of wrong) t.throws(() => parseXml(text), { code: 'InvalidFormat' }, text.slice(0, 20))
})
