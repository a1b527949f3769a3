// A model on loopback: it speaks the vendors' APIs and answers by what the prompt asks for.
// argv: the port, 0 for a free one. Prints its address and serves until its stdin ends.
import { LLMock } from "@copilotkit/aimock";

const server = new LLMock({ port: Number(process.argv[2] ?? 0), chunkSize: 12, logLevel: "silent" });

// Agents add messages of their own around the prompt, so it is looked for in all that the user has said.
const said = ({ messages }, role) =>
  messages.filter((message) => message.role === role).map((message) => JSON.stringify(message.content)).join("\n");
const offers = ({ tools = [] }, name) => tools.some((tool) => tool.function?.name === name);

function answer(prompt, response, further = () => true) {
  const predicate = (request) => said(request, "user").includes(prompt) && further(request);
  server.addFixture({ match: { predicate }, response });
}

function fail(prompt, status, error) {
  answer(prompt, { status, error });
}

const usage = (prompt_tokens, completion_tokens) => ({
  usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
});

// What comes first counts, and an agent that goes on in a conversation sends what was asked before, too.

// --- what the model was given: who has said what, message by message ---------------------------------------------------

const WORDS = /Say hello|said in several pieces|Recite it/g;
const words = ({ content }) => JSON.stringify(content ?? "").match(WORDS)?.join(", ");
const recital = ({ messages }) =>
  messages.filter(words).map((message) => `${message.role}: ${words(message)}`).join("; ");
answer("Recite it", (request) => ({ content: recital(request), ...usage(50, 5) }));

// --- errors ---------------------------------------------------------------------------------------------------------

fail("Refuse my key", 401, { message: "Incorrect API key provided: test", type: "authentication_error", code: "invalid_api_key" });
fail("Limit my rate", 429, { message: "Too many requests", type: "rate_limit_error", code: "rate_limit_exceeded" });
fail("Break down", 500, { message: "Internal server error", type: "api_error", code: "server_error" });
fail("Refuse my length", 400, {
  message: "prompt is too long: 250000 tokens > 200000 maximum",
  type: "invalid_request_error",
  code: "context_length_exceeded",
});

// --- a tool call: each agent has a tool of its own that writes a file -----------------------------------------------

const content = "from the agent";
const shell = { command: `printf '${content}' > note.txt`, description: "Write the note" };
const patch = `*** Begin Patch\n*** Add File: note.txt\n+${content}\n*** End Patch`;
const TOOLS = {
  Bash: shell, // Claude Code
  exec_command: { cmd: shell.command }, // Codex
  write_file: { file_path: "note.txt", content }, // Gemini CLI
  write: { path: "note.txt", content }, // pi, OpenClaw
  apply_patch: { patchText: patch }, // opencode
};

const written = (request) => request.messages.some(({ role }) => role === "tool");
answer("Write the note", { content: "The note is written.", ...usage(40, 6) }, written);
for (const [name, argument] of Object.entries(TOOLS)) {
  const toolCalls = [{ id: "call_1", name, arguments: JSON.stringify(argument) }];
  answer("Write the note", { content: "I shall write it.", toolCalls, ...usage(30, 10) }, (request) => offers(request, name));
}

// --- work in the background, an answer by a schema, a stream that breaks off: Claude Code -----------------------------

const has = (request, words) => JSON.stringify(request.messages).includes(words);
const background = { command: "sleep 1; echo done", description: "Wait", run_in_background: true };
answer("What is 2+2", { content: "The answer is 4." });
answer("Work in the background", { content: "It is done." }, (request) => has(request, "task-notification"));
answer("Work in the background", { content: "I started it and will wait." }, written);
answer("Work in the background", {
  content: "I start it.",
  toolCalls: [{ id: "call_1", name: "Bash", arguments: JSON.stringify(background) }],
});
answer("Count them", {
  content: "Let me count them.",
  toolCalls: [{ id: "call_1", name: "StructuredOutput", arguments: '{"n":3}' }],
});

const broken = { match: { predicate: (request) => said(request, "user").includes("Name the capital") && !broken.used++ } };
broken.used = 0;
server.addFixture({ ...broken, response: { content: "The capital of France is Lyon." }, truncateAfterChunks: 3 });
answer("Name the capital", { content: "The capital of France is Paris." });

// --- a tool that prints for a while: pi tells all of it with every line ------------------------------------------------

const build = "for line in $(seq 60); do echo line $line of the build; sleep 0.05; done";
answer("Build it", { content: "It is built." }, written);
answer("Build it", {
  content: "I build it.",
  toolCalls: [{ id: "call_1", name: "bash", arguments: JSON.stringify({ command: build }) }],
});

// --- answers --------------------------------------------------------------------------------------------------------

// Before the others: what was said earlier is still in the conversation.
answer("What was said before", { content: "Hello was said.", ...usage(25, 4) }, (request) =>
  said(request, "assistant").includes("Hello from the model"),
);
answer("Say hello", { content: "Hello from the model, said in several pieces.", ...usage(12, 9) });
answer("Think first", { reasoning: "First I think about it.", content: "Now I have thought.", ...usage(13, 8) });
answer("Speak until the limit", { content: "dle of a word.", ...usage(20, 4) }, (request) => said(request, "assistant"));
answer("Speak until the limit", { content: "This answer ends in the mid", finishReason: "length", ...usage(14, 7) });

// What an agent asks besides, such as a title for the conversation.
server.addFixture({ match: {}, response: { content: "A title" } });

console.log(await server.start());
process.stdin.resume().on("end", () => process.exit());
