// Verifies the tickets of each line of standard input, and answers with a line.
import { createInterface } from "node:readline"

import { PlayerTokens } from "./player_tokens.js"

const [url, issuer, ...servers] = process.argv.slice(2)
let asked = { now: 0, ticks: 1000 }
const tokens = new PlayerTokens(url, issuer, servers, {
  clock: () => asked.now * 1000,
  monotonic: () => asked.ticks * 1000,
})
const answer = (ticket) =>
  tokens.verify(ticket).then(
    (player) => ({ player }),
    (error) => ({ error: error.name, message: error.message }),
  )

for await (const line of createInterface({ input: process.stdin })) {
  asked = JSON.parse(line)
  const answers = asked.tickets.map(answer)
  const wanted = asked.first ? [await Promise.race(answers)] : await Promise.all(answers)
  console.log(JSON.stringify(wanted))
}
