// A person at the sandbox's web page: Chromium, driven by playwright-core.
//
// Opens the page without its token and with it, looks at Things and certificates, watches a topic filter and
// publishes, deactivates a certificate by its button, reads the decision log, and makes faults. Each step that is done is one
// line of JSON on standard output, `{"step": NAME, …}`, with what the page showed; the test that started it judges.
// The message after `watching` has to be published from elsewhere, and the fault after `faulty` met.

'use strict';

const util = require('node:util');

const { chromium } = require('playwright-core');

function tell(step, facts) {
  process.stdout.write(`${JSON.stringify({ step, ...facts })}\n`);
}

/** What the page itself did wrong: exceptions, refused requests, violations of its content security policy. */
function complaints(page) {
  const found = [];
  page.on('pageerror', (error) => found.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error') found.push(message.text()); });
  page.on('requestfailed', (request) => {
    // A stream that is left is no failure.
    const { errorText } = request.failure() ?? {};
    if (errorText !== 'net::ERR_ABORTED') found.push(`${request.url()}: ${errorText}`);
  });
  return found;
}

async function texts(rows) {
  const found = await rows.allInnerTexts();
  return found.map((text) => text.replace(/\s+/g, ' ').trim());
}

async function walk(page, options) {
  await page.goto(options.url);
  await page.getByTestId('sign-in').waitFor();
  tell('asked-for-token', { title: await page.title(), things: await page.getByTestId('thing-row').count() });
  await page.getByTestId('token-input').fill('0'.repeat(64));
  const refused = page.waitForResponse((response) => response.status() === 401);
  await page.getByTestId('token-submit').click();
  await refused;
  await page.getByTestId('sign-in').waitFor();
  await page.getByTestId('notice').filter({ hasText: 'not the token' }).waitFor();
  tell('wrong-token', { things: await page.getByTestId('thing-row').count() });

  const found = complaints(page);
  await page.goto('about:blank');
  await page.goto(`${options.url}/#token=${options.token}`);
  await page.getByTestId('fact-mqtt').filter({ hasText: String(options.mqtt) }).waitFor();
  tell('opened', { mqtt: await page.getByTestId('fact-mqtt').innerText(), address: page.url() });

  await page.getByTestId('message-filter').fill(options.filter);
  await page.getByTestId('message-subscribe').click();
  await page.getByTestId('message-state').filter({ hasText: `subscribed to ${options.filter}` }).waitFor();
  tell('watching', {});
  const row = page.getByTestId('message-row').first();
  await row.waitFor();
  tell('message', {
    topic: await row.getByTestId('message-topic').innerText(),
    payload: await row.getByTestId('message-payload').innerText(),
  });
  await page.getByTestId('publish-open').click();
  await page.getByTestId('publish-topic').fill(options.topic);
  await page.getByTestId('publish-payload').fill('{"from": "the page"}');
  await page.getByTestId('publish-send').click();
  await row.filter({ hasText: 'the page' }).waitFor();
  tell('published', { rows: await texts(page.getByTestId('message-row')) });
  await shot(page, options, 'messages');

  await page.getByTestId('nav-things').click();
  await page.locator(`[data-thing="${options.thing}"]`).waitFor();
  tell('things', { rows: await texts(page.getByTestId('thing-row')) });
  await shot(page, options, 'things');

  await page.getByTestId('nav-certificates').click();
  const certificate = page.locator(`[data-certificate="${options.certificate}"]`);
  await certificate.waitFor();
  tell('certificate', { status: await certificate.getAttribute('data-status'), row: (await texts(certificate))[0] });
  await certificate.getByTestId('certificate-deactivate').click();
  await page.locator(`[data-certificate="${options.certificate}"][data-status="INACTIVE"]`).waitFor();
  tell('deactivated', { row: (await texts(certificate))[0] });
  await shot(page, options, 'certificates');

  await page.getByTestId('nav-decisions').click();
  await page.getByTestId('decision-filter-denied').click();
  const denied = page.locator('[data-testid="decision-row"][data-decision="denied"]').filter({ hasText: options.denied });
  await denied.first().waitFor();
  tell('decisions', {
    rows: await texts(denied),
    allowed: await page.locator('[data-testid="decision-row"][data-decision="allowed"]').count(),
  });
  await shot(page, options, 'decisions');

  await page.getByTestId('nav-explain').click();
  await page.getByTestId('explain-client').fill(options.thing);
  await page.getByTestId('explain-action').selectOption('iot:Publish');
  await page.getByTestId('explain-resource').fill(options.denied);
  await page.getByTestId('explain-ask').click();
  await page.getByTestId('explain-word').waitFor();
  tell('explained', {
    word: await page.getByTestId('explain-word').innerText(),
    why: await page.getByTestId('explain-why').innerText(),
  });
  await shot(page, options, 'explain');

  await page.getByTestId('nav-faults').click();
  await page.getByTestId('faults-editor').fill(options.faults);
  await page.getByTestId('faults-apply').click();
  await page.getByTestId('fault-row').waitFor();
  tell('faulty', { rows: await texts(page.getByTestId('fault-row')) });
  await page.getByTestId('fault-fired').filter({ hasText: /[1-9]/ }).waitFor();
  tell('fault-fired', { rows: await texts(page.getByTestId('fault-row')) });
  await shot(page, options, 'faults');
  await page.getByTestId('faults-clear').click();
  await page.getByTestId('fault-row').waitFor({ state: 'detached' });
  tell('faultless', {});

  for (const view of ['policies', 'sessions', 'clock']) {
    await page.getByTestId(`nav-${view}`).click();
    const heading = page.locator('main').getByRole('heading', { level: 1, name: new RegExp(view, 'i') });
    await heading.waitFor();
    tell(`view-${view}`, { heading: await heading.innerText() });
    await shot(page, options, view);
  }
  tell('complaints', { found });
}

async function shot(page, options, name) {
  if (options.screenshots) await page.screenshot({ path: `${options.screenshots}/${name}.png`, fullPage: true });
}

async function main() {
  const text = { type: 'string' };
  const { values } = util.parseArgs({
    options: {
      chromium: text, profile: text, url: text, token: text, mqtt: text, thing: text, certificate: text, filter: text,
      topic: text, denied: text, faults: text, screenshots: text,
    },
  });
  // A new profile, and nothing that looks for the network: it is closed where the gate runs.
  const context = await chromium.launchPersistentContext(values.profile, {
    executablePath: values.chromium,
    headless: true,
    viewport: { width: 1280, height: 800 },
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
  try {
    context.setDefaultTimeout(30_000);
    const page = context.pages()[0] ?? (await context.newPage());
    try {
      await walk(page, values);
    } catch (error) {
      await shot(page, values, 'failure');
      throw error;
    }
  } finally {
    await context.close();
  }
}

main().catch((error) => {
  process.stderr.write(`${error}\n`);
  process.exit(1);
});
