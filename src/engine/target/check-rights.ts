import { EngineError } from '../engine-error.ts'
import { isSystemRole } from '../managed-roles.ts'
import { whyForeignOwnerRole, whyNoOwnerRole } from '../owner-role.ts'
import { quoteIdentifier } from '../quote.ts'
import { whyForeignOwner, whyMissingRole } from '../restore-conditions.ts'
import { withheldFrom } from '../withheld.ts'
import type { TargetFacts } from './facts.ts'
import { type Finding, passed, problem, warning } from './finding.ts'
import { knownSources, type RestorePlan } from './plan.ts'

/** Whether the role may create databases, and whether it may do more than a restore needs. */
export function checkRights({ self, roles, versionNumber }: TargetFacts, { ownership }: RestorePlan): Finding[] {
  const role = quoteIdentifier(self.name)
  if (self.isSuperuser) {
    const isLesser = ownership.kind === 'TO_ROLE' && !roles.get(ownership.role)?.isSuperuser
    // The session stays the superuser's: RESET ROLE is open to whatever runs in it.
    const how = isLesser
      ? `run as ${quoteIdentifier(ownership.role)}. That keeps from accidents, not from intent: such a function can take up all rights of ${role} again.`
      : 'run with all rights.'
    const message = `${role} is a superuser: functions that the restored data runs, in CHECK constraints and indexes say, ${how}`
    return [
      passed('RIGHTS', self.name, `${role} may create databases.`),
      warning('LEAST_PRIVILEGE', self.name, message, [
        'Register the server with a role that is no superuser and has CREATEDB (and CREATEROLE, to keep owners). Ownership TO_ROLE to a lesser role keeps from accidents alone.',
      ]),
    ]
  }
  const leastPrivilege =
    self.createsRoles && versionNumber < 160_000
      ? warning(
          'LEAST_PRIVILEGE',
          self.name,
          `${role} has CREATEROLE, which before PostgreSQL 16 is as good as the server's own account: functions that the restored data runs could give it pg_execute_server_program.`,
          ['Register the server with a role that has CREATEDB alone, with the owners made before.'],
        )
      : passed('LEAST_PRIVILEGE', self.name, `${role} is not a superuser.`)
  if (self.createsDatabases) return [passed('RIGHTS', self.name, `${role} may create databases.`), leastPrivilege]
  const error = new EngineError('PERMISSION_DENIED', `Role ${role} may not create databases.`)
  return [problem('RIGHTS', self.name, error, [`As a superuser: ALTER ROLE ${role} CREATEDB`]), leastPrivilege]
}

/** Whether what is restored can be given to those that shall own it. */
export function checkRoles(facts: TargetFacts, plan: RestorePlan): Finding[] {
  const { ownership } = plan
  if (ownership.kind === 'KEEP') return checkKeptOwners(facts, plan)
  const { self } = facts
  if (ownership.kind === 'NONE') {
    return [passed('ROLES', self.name, `Everything will belong to ${quoteIdentifier(self.name)}.`)]
  }
  const { role } = ownership
  const known = facts.roles.get(role)
  if (known?.mayBecome) return [passed('ROLES', role, `Everything will belong to ${quoteIdentifier(role)}.`)]
  const error = known ? whyForeignOwnerRole(self.name, role) : whyNoOwnerRole(role)
  return [problem('ROLES', role, error, [error.details])]
}

function checkKeptOwners(facts: TargetFacts, plan: RestorePlan): Finding[] {
  const { self, roles } = facts
  const wanted = plan.roles.filter(({ name }) => !isSystemRole(name))
  const missing = wanted.filter(({ name }) => !roles.has(name))
  const mayCreate = self.isSuperuser || self.createsRoles
  const findings = missing.map((role) => {
    const { name } = role
    if (!mayCreate) {
      const error = whyMissingRole(name, `keep owners and grants, and ${quoteIdentifier(self.name)} may not create it`)
      return problem('ROLES', name, error, [
        `CREATE ROLE ${quoteIdentifier(name)}`,
        `As a superuser: ALTER ROLE ${quoteIdentifier(self.name)} CREATEROLE`,
      ])
    }
    const withheld = withheldFrom(role, facts)
    if (withheld.length > 0) {
      const whats = withheld.map(({ what }) => what).join(', ')
      const cures = withheld.map(({ cure }) => cure).join('; ')
      const message = `${quoteIdentifier(name)} is not there and will be created without a password and without ${whats}, which no restore gives.`
      return warning('ROLES', name, message, [
        `Where it is to have that, or owns what only a superuser may, such as event triggers: CREATE ROLE ${quoteIdentifier(name)}; ${cures}`,
      ])
    }
    return passed('ROLES', name, `${quoteIdentifier(name)} is not there and will be created, without a password.`)
  })
  const owners = new Set(knownSources(plan).map(({ ownerName }) => ownerName))
  const made = new Set(missing.map(({ name }) => name))
  for (const owner of owners) {
    const purpose = 'give it the database that it owned at the source'
    if (isForeign(facts, owner)) findings.push(foreign(facts, owner, purpose))
    else if (!roles.has(owner) && !made.has(owner)) {
      const cures = ['Restore with ownership NONE or TO_ROLE.']
      findings.push(problem('ROLES', owner, whyMissingRole(owner, purpose), cures))
    }
  }
  const others = wanted.filter(({ name }) => !owners.has(name) && isForeign(facts, name))
  if (others.length > 0) findings.push(foreignOthers(self.name, others))
  return findings.length > 0 ? findings : [passed('ROLES', self.name, 'Every role of the source is there.')]
}

/** There, and not to be acted for. */
function isForeign({ roles }: TargetFacts, name: string): boolean {
  const role = roles.get(name)
  return role !== undefined && !(role.hasRights && role.mayBecome)
}

function foreign({ self, roles }: TargetFacts, owner: string, purpose: string): Finding {
  const error = whyForeignOwner(self.name, owner, purpose, roles.get(owner)?.hasRights)
  return problem('ROLES', owner, error, [error.details])
}

function foreignOthers(self: string, others: readonly { name: string }[]): Finding {
  const names = others.map(({ name }) => quoteIdentifier(name))
  const message = `${quoteIdentifier(self)} is not a member of ${names.join(', ')}: objects that belonged to one of them could not be given back to it.`
  return warning(
    'ROLES',
    others[0]?.name ?? self,
    message,
    names.map((name) => `GRANT ${name} TO ${quoteIdentifier(self)}`),
  )
}
