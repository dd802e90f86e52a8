// OpenAI's own npm client, unmodified, against our server: everything it saw, as one JSON object on standard output.
// Standard input: {"baseURL", "apiKey", "sources": text of a request, "question": a second one, "body": {models, papers}}

import OpenAI from "openai";
import { text } from "node:stream/consumers";

const { baseURL, apiKey, sources, question, body } = JSON.parse(await text(process.stdin));
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const model = "cnaps-rag";
const messages = [{ role: "user", content: sources }];

async function whole(parameters) {
  const completion = await client.chat.completions.create({ model, ...parameters });
  const { message, finish_reason } = completion.choices[0];
  return { ...message, finish_reason, usage: completion.usage, cnaps_rag: completion.cnaps_rag };
}

async function streamed(parameters) {
  const seen = { fragments: [], annotations: [], finish_reason: null, usage: null, cnaps_rag: null };
  const stream = await client.chat.completions.create({ model, stream: true, ...parameters });
  for await (const chunk of stream) {
    const [choice] = chunk.choices;
    seen.fragments.push(choice?.delta.content ?? "");
    seen.annotations.push(...(choice?.delta.annotations ?? []));
    seen.finish_reason = choice?.finish_reason ?? seen.finish_reason;
    seen.usage = chunk.usage ?? seen.usage;
    seen.cnaps_rag = chunk.cnaps_rag ?? seen.cnaps_rag;
  }
  return seen;
}

// The client's own helper, which puts the message together from the chunks.
async function helped(parameters) {
  const stream = client.chat.completions.stream({ model, ...parameters });
  const fragments = [];
  stream.on("content", (fragment) => fragments.push(fragment));
  const message = await stream.finalMessage();
  return { content: message.content, annotations: message.annotations, fragments };
}

async function stoppedAtFirstClaim(parameters) {
  const stream = await client.chat.completions.create({ model, stream: true, ...parameters });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break; // leaving the loop closes the connection
  }
  return { aborted: stream.controller.signal.aborted };
}

async function failure(parameters, key = apiKey) {
  try {
    await client.withOptions({ apiKey: key }).chat.completions.create({ model, messages, ...parameters });
  } catch (error) {
    const { name } = error.constructor;
    return { name, status: error.status, message: error.message, param: error.param, code: error.code };
  }
  return null;
}

const asked = [...messages, { role: "assistant", content: "..." }, { role: "user", content: question }];
const bodied = { messages: [{ role: "user", content: question }], ...body };

console.log(
  JSON.stringify({
    models: (await client.models.list()).data.map(({ id }) => id),
    whole: await whole({ messages }),
    streamed: await streamed({ messages, stream_options: { include_usage: true } }),
    helped: await helped({ messages }),
    secondTurn: await whole({ messages: asked }),
    secondTurnStreamed: await streamed({ messages: asked }),
    sourcesInBody: await whole(bodied),
    sourcesInBodyStreamed: await streamed(bodied),
    stopped: await stoppedAtFirstClaim({ messages }),
    failures: {
      noSources: await failure({ messages: [{ role: "user", content: question }] }),
      unknownModel: await failure({ model: "gpt-4o" }),
      twoAnswers: await failure({ n: 2 }),
      streamedTools: await failure({ stream: true, tools: [{ type: "function", function: { name: "f" } }] }),
      wrongKey: await failure({}, "wrong"),
    },
  }),
);
