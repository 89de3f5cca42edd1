/** What GraphiQL shows at the first visit: it explains itself and runs as it is. */
export const firstTab = `# Welcome to Holdfast. Press the play button (Ctrl-Enter) to see who you are.
query Welcome {
  viewer {
    name
  }
}
`
