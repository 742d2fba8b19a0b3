// Signs a message as each of the senders does, with the sender's own library, and has the library check it
// too. One JSON array goes out: name, path, header fields, body in base64.
'use strict';
const { createHmac } = require('node:crypto');
const { createRequire } = require('node:module');
const library = createRequire(`${process.argv[2]}/`);
const [, , , secret, key, origin] = process.argv;

const body = '{ "id" : 7,\t"text":"\u00e4\u20ac", "n": 1.0 }\n';
const json = { 'content-type': 'application/json' };
const at = new Date();
const seconds = Math.floor(at.getTime() / 1000);

function insist(name, believed) {
  if (!believed) throw new Error(`${name}: its own library does not believe it`);
}

async function main() {
  const out = [];
  const add = (name, headers, path = `/webhook/${name}`, sent = body, kind = json) =>
    out.push({ name, path, headers: { ...kind, ...headers }, body: Buffer.from(sent).toString('base64') });

  const Stripe = library('stripe');
  const stripe = new Stripe('sk_test_none');
  const header = stripe.webhooks.generateTestHeaderString({ payload: body, secret });
  insist('stripe', stripe.webhooks.constructEvent(body, header, secret).id === 7);
  add('stripe', { 'stripe-signature': header });

  const octokit = await import(`${process.argv[2]}/node_modules/@octokit/webhooks-methods/dist-node/index.js`);
  const github = await octokit.sign(secret, body);
  insist('github', await octokit.verify(secret, body, github));
  add('github', { 'x-hub-signature-256': github });

  const { verifySlackRequest } = library('@slack/bolt/dist/receivers/verify-request');
  const v0 = createHmac('sha256', secret).update(`v0:${seconds}:${body}`).digest('hex');
  const slack = { 'x-slack-request-timestamp': `${seconds}`, 'x-slack-signature': `v0=${v0}` };
  verifySlackRequest({ signingSecret: secret, body, headers: { ...slack, 'x-slack-request-timestamp': seconds } });
  add('slack', slack);

  for (const [name, prefix, module] of [['svix', 'svix', 'svix'], ['standard-webhooks', 'webhook', 'standardwebhooks']]) {
    const { Webhook } = library(module);
    const webhook = new Webhook(key);
    const signed = {
      [`${prefix}-id`]: 'msg_7',
      [`${prefix}-timestamp`]: `${seconds}`,
      [`${prefix}-signature`]: webhook.sign('msg_7', at, body),
    };
    insist(name, webhook.verify(body, signed).id === 7);
    add(name, signed);
  }

  const twilio = library('twilio/lib/webhooks/webhooks');
  const form = { CallSid: 'CA1234567890ABCDE', Digits: '1234', To: '+18005551212', Body: '\u00e4 b' };
  const url = `${origin}/webhook/twilio?foo=1&bar=2`;
  const voice = twilio.getExpectedTwilioSignature(secret, url, form);
  insist('twilio', twilio.validateRequest(secret, voice, url, form));
  add('twilio', { 'x-twilio-signature': voice }, '/webhook/twilio?foo=1&bar=2',
    new URLSearchParams(form).toString(), { 'content-type': 'application/x-www-form-urlencoded' });
  // What Twilio has signed in other spellings its library takes as well.
  const query = "?q=it's&foo=1&q=x+y";
  const spelled = [`:443/webhook/twilio${query}`, '/webhook/twilio?q=it%27s&foo=1&q=x+y',
    "/webhook/twilio?q=it's&q=x%20y&foo=1"];
  for (const it of spelled) {
    const signature = twilio.getExpectedTwilioSignature(secret, `${origin}${it}`, form);
    insist('twilio', twilio.validateRequest(secret, signature, `${origin}/webhook/twilio${query}`, form));
    add('twilio', { 'x-twilio-signature': signature }, `/webhook/twilio${query}`,
      new URLSearchParams(form).toString(), { 'content-type': 'application/x-www-form-urlencoded' });
  }
  const path = `/webhook/twilio?foo=1&bodySHA256=${twilio.getExpectedBodyHash(body)}`;
  const message = twilio.getExpectedTwilioSignature(secret, `${origin}${path}`, {});
  insist('twilio', twilio.validateRequestWithBody(secret, message, `${origin}${path}`, body));
  add('twilio', { 'x-twilio-signature': message }, path);

  console.log(JSON.stringify(out));
}

main().catch((why) => {
  console.error(why);
  process.exit(1);
});
