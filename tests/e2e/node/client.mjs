// Makes one call with the official Node client and prints the outcome as JSON.
// argv: the case as JSON {client, call, params, options, retryOpens}: a file is made when the client posts again.
import { writeFileSync } from "node:fs";
import OpenAI from "openai";

const { client: how, call, params, options, retryOpens } = JSON.parse(process.argv[2]);
let posts = 0;
const received = [];

function counted(...request) {
  posts += 1;
  if (posts === 2 && retryOpens) writeFileSync(retryOpens, "");
  return fetch(...request);
}

const client = new OpenAI({ ...how, fetch: counted });

const calls = {
  whole: () => client.chat.completions.create(params, options),
  async raw() {
    const { data, response } = await client.chat.completions.create(params, options).withResponse();
    return { id: data.id, headers: Object.fromEntries(response.headers) };
  },
  async stream() {
    for await (const chunk of await client.chat.completions.create({ ...params, stream: true }, options)) received.push(chunk);
  },
  helper() {
    return client.chat.completions.stream(params, options).on("content", (delta) => received.push(delta)).finalChatCompletion();
  },
  async tools() {
    const weather = { type: "function", function: { name: "weather", parameters: { type: "object" }, parse: JSON.parse } };
    weather.function.function = ({ at }) => (received.push(at), `Rain in ${at}`);
    const runner = client.chat.completions.runTools({ ...params, tools: [weather] }, options);
    return { content: await runner.finalContent(), calls: await runner.finalFunctionToolCall(), usage: await runner.totalUsage() };
  },
  async models() {
    for await (const model of client.models.list()) received.push(model.id);
  },
  model: () => client.models.retrieve(params),
};

const failure = ({ constructor, status, code, message }) => ({ error: { name: constructor.name, status, code, message } });

const outcome = await calls[call]().then((result) => ({ result }), failure);
console.log(JSON.stringify({ received, posts, ...outcome }));
