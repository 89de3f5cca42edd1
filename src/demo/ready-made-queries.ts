const queries = {
  'What is protected': '{backupInstances{nodes{name state}}}',
  'Recovery points': '{recoveryPoints{nodes{pointInTime proof}}}',
  'Jobs so far': '{jobs{nodes{operation status duration}}}',
  'Events as they come': 'subscription{jobEvents{type at message}}',
}

/** Addresses that open GraphiQL with a query ready to be run; short, so that a terminal shows each on one line. */
export function readyMadeQueries(baseUrl: string): { title: string; url: string }[] {
  return Object.entries(queries).map(([title, query]) => ({
    title,
    url: `${baseUrl}/graphql?query=${encodeURIComponent(query).replaceAll('%20', '+')}`,
  }))
}
