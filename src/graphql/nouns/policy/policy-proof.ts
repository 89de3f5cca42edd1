import type { AskedProofRules } from '../../../policy/check-verification.ts'
import type { PolicyVersion as Version } from '../../../policy/policy.ts'
import { InvalidInput } from '../../../refusal.ts'
import { builder, type Types } from '../../schema/builder.ts'

type Verification = Version['verification']

const VerificationRules = builder.objectRef<Verification>('VerificationRules').implement({
  description:
    'How far recovery points are shown to be good by themselves, besides the read-back that each of them begins with.',
  fields: (t) => ({
    decodesEveryPoint: t.boolean({
      description: 'Whether each recovery point is decoded to its end once, soon after it was made.',
      resolve: ({ decode }) => decode?.kind === 'EVERY_POINT',
    }),
    decodesWithin: t.field({
      type: 'Duration',
      nullable: true,
      description:
        'All recovery points are decoded again and again, and none is left for longer than this; null when they are not.',
      resolve: ({ decode }) => (decode?.kind === 'WITHIN' ? decode.duration : null),
    }),
    restoreEvery: t.expose('restoreEvery', {
      type: 'Duration',
      nullable: true,
      description:
        'How long after one restore of the newest recovery point into a scratch server the next one follows; null when there is none.',
    }),
  }),
})

const AnomalyGate = builder.objectRef<NonNullable<Version['anomalyGate']>>('AnomalyGate').implement({
  description:
    'How much less than the last proven one a recovery point may hold before it is a content anomaly, which holds all expiry of its backup instance until it is acknowledged.',
  fields: (t) => ({
    maxRowFallPercent: t.int({
      nullable: true,
      description: 'The greatest fall of the number of rows, percent; null when rows are not looked at.',
      resolve: ({ rows }) => rows,
    }),
    maxByteFallPercent: t.int({
      nullable: true,
      description: 'The greatest fall of the size of the databases, percent; null when sizes are not looked at.',
      resolve: ({ bytes }) => bytes,
    }),
    maxTableFallPercent: t.int({
      nullable: true,
      description: 'The greatest fall of the number of tables, percent; null when tables are not looked at.',
      resolve: ({ tables }) => tables,
    }),
  }),
})

const DecodeInput = builder.inputType('DecodeInput', {
  description: 'Which recovery points are decoded to their ends; exactly one of both.',
  isOneOf: true,
  fields: (t) => ({
    everyPoint: t.boolean({ description: 'True: each of them once, soon after it was made.' }),
    within: t.field({
      type: 'Duration',
      description:
        'All of them again and again, and none is left for longer than this: whole units, from "P1D" (a day) to a year.',
    }),
  }),
})

export const VerificationInput = builder.inputType('VerificationInput', {
  description:
    'How far recovery points are shown to be good by themselves, besides the read-back that each of them begins with.',
  fields: (t) => ({
    decode: t.field({
      type: DecodeInput,
      description:
        'Which of them are decoded to their ends: none when null; when left out as before, at first all within 30 days.',
    }),
    restoreEvery: t.field({
      type: 'Duration',
      description:
        'How often the newest one is restored into a scratch server, from "P1D" to a year: never when null; when left out as before, at first never.',
    }),
  }),
})

const shareRange = '1 to 99 percent: not looked at when null; when left out as before, at first 50.'

export const AnomalyGateInput = builder.inputType('AnomalyGateInput', {
  description: 'How much less than the last proven one a recovery point may hold before it is a content anomaly.',
  fields: (t) => ({
    maxRowFallPercent: t.int({ description: `The greatest fall of the number of rows, ${shareRange}` }),
    maxByteFallPercent: t.int({ description: `The greatest fall of the size of the databases, ${shareRange}` }),
    maxTableFallPercent: t.int({ description: `The greatest fall of the number of tables, ${shareRange}` }),
  }),
})

/** The fields that tell how a policy has its points proven, wherever its rules are found. */
export function proofFields<Row>(t: PothosSchemaTypes.ObjectFieldBuilder<Types, Row>, rulesOf: (row: Row) => Version) {
  return {
    verification: t.field({
      type: VerificationRules,
      description: 'How far its recovery points are shown to be good by themselves, and how often.',
      resolve: (row) => rulesOf(row).verification,
    }),
    anomalyGate: t.field({
      type: AnomalyGate,
      nullable: true,
      description: 'When what a recovery point holds is suspicious; null when that is not looked at.',
      resolve: (row) => rulesOf(row).anomalyGate,
    }),
  }
}

interface GivenProofRules {
  verification?: typeof VerificationInput.$inferInput | null | undefined
  anomalyGate?: typeof AnomalyGateInput.$inferInput | null | undefined
}

/** What is asked for by both inputs: what is left out stays, and null is none at all. */
export function askedProofRules({ verification, anomalyGate }: GivenProofRules): AskedProofRules {
  return {
    ...(verification !== undefined && { verification: askedVerification(verification) }),
    ...(anomalyGate !== undefined && { anomalyGate: anomalyGate && askedGate(anomalyGate) }),
  }
}

function askedVerification(given: typeof VerificationInput.$inferInput | null): Partial<Verification> {
  const { decode, restoreEvery } = given ?? { decode: null, restoreEvery: null }
  return {
    ...(decode !== undefined && { decode: decode && askedDecode(decode) }),
    ...(restoreEvery !== undefined && { restoreEvery }),
  }
}

function askedDecode({ everyPoint, within }: typeof DecodeInput.$inferInput): Verification['decode'] {
  if (within != null) return { kind: 'WITHIN', duration: within }
  if (everyPoint === true) return { kind: 'EVERY_POINT' }
  throw new InvalidInput('verification.decode.everyPoint', 'It is true or left out: false says nothing.', [
    'Give null for decode to have no recovery point decoded.',
  ])
}

function askedGate({
  maxRowFallPercent: rows,
  maxByteFallPercent: bytes,
  ...given
}: typeof AnomalyGateInput.$inferInput) {
  const { maxTableFallPercent: tables } = given
  return {
    ...(rows !== undefined && { rows }),
    ...(bytes !== undefined && { bytes }),
    ...(tables !== undefined && { tables }),
  }
}
