/** The recovery cannot be done as it was asked for; the message says why and what to do. Nothing was changed. */
export class RecoveryRefused extends Error {}
