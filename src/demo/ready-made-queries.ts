const queries = {
  'What is protected': `{ backupInstances { nodes { name state server { name version } latestRecoveryPoint { pointInTime proof } } } }`,
  'Recovery points': `{ recoveryPoints { nodes { pointInTime proof storedBytes databases { name rowCount } } } }`,
  'Jobs so far': `{ jobs { nodes { operation status duration bytesTransferred error { code message } } } }`,
  'Watch every event live': `subscription { jobEvents { type at status message job { operation } } }`,
}

/** Addresses that open GraphiQL with a query ready to be run. */
export function readyMadeQueries(baseUrl: string): { title: string; url: string }[] {
  return Object.entries(queries).map(([title, query]) => ({
    title,
    // Spaces as "+", and without the few that GraphQL does not need: the addresses stay short enough to be read.
    url: `${baseUrl}/graphql?query=${encodeURIComponent(query.replaceAll(/ ?([{}]) ?/g, '$1')).replaceAll('%20', '+')}`,
  }))
}
