package lint

import "slices"

// Check is one kind of finding.
type Check struct {
	Code     string
	Name     string // for programs that show names: deny-binds-inheritors
	Severity Severity
	Title    string
}

// The codes are stable: comments in policies and alerts in other systems name
// them. A code is never used again for something else.
const (
	doesNotLoad        = "AG001"
	denyInherited      = "AG101"
	denyForEverybody   = "AG102"
	shadowedRow        = "AG103"
	deadAllow          = "AG104"
	idleDeny           = "AG105"
	neverMatches       = "AG106"
	roleWithoutMembers = "AG107"
	redundantGrant     = "AG108"
	everybodyMayChange = "AG109"
	noLogin            = "AG110"
	wideOpen           = "AG111"
	similarName        = "AG112"
	unknownMethod      = "AG113"
	denyOneSpelling    = "AG114"
	allowOneSpelling   = "AG115"
	denyOneSlash       = "AG116"
	similarUpstream    = "AG117"
	everybodyMayRead   = "AG118"
	allowOneSlash      = "AG119"
	quotedSubject      = "AG120"
	mergedRole         = "AG130"
	badIgnore          = "AG190"
	idleIgnore         = "AG191"
	incomplete         = "AG199"
)

var checks = [...]Check{
	{doesNotLoad, "does-not-load", Error, "The policy does not load"},
	{denyInherited, "deny-binds-inheritors", Warning, "A deny binds roles that inherit it"},
	{denyForEverybody, "deny-for-everybody", Info, "A deny for every user also binds roles that are allowed"},
	{shadowedRow, "shadowed-row", Warning, "A broader row makes the row redundant"},
	{deadAllow, "dead-allow", Warning, "A deny takes away all that the row allows"},
	{idleDeny, "idle-deny", Warning, "A deny takes nothing away"},
	{neverMatches, "never-matches", Warning, "No request can match the row"},
	{roleWithoutMembers, "role-without-members", Warning, "No subject holds the role"},
	{redundantGrant, "redundant-grant", Info, "The member holds the role anyway"},
	{everybodyMayChange, "everybody-may-change-anything", Warning, "Every user may change anything"},
	{noLogin, "no-login", Info, "The row needs no login"},
	{wideOpen, "wide-open", Warning, "The row opens much without a login"},
	{similarName, "name-like-another", Warning, "A name looks like another one"},
	{unknownMethod, "unknown-method", Info, "The method is not a registered one"},
	{denyOneSpelling, "deny-one-spelling", Warning, "A deny leaves another spelling of the path open"},
	{allowOneSpelling, "allow-one-spelling", Info, "An allow takes one of two spellings of the path"},
	{denyOneSlash, "deny-one-slash", Warning, "A deny leaves the path with or without a trailing slash open"},
	{similarUpstream, "upstream-like-another", Warning, "An upstream's name looks like another one"},
	{everybodyMayRead, "everybody-may-read-everything", Info, "Every user may read everything"},
	{
		allowOneSlash, "allow-one-slash", Warning,
		"An allow takes a prefix that is taken off with or without a trailing slash",
	},
	{quotedSubject, "quoted-subject", Warning, "The quotes around a subject are part of its name"},
	{mergedRole, "role-of-two-imports", Warning, "Two imports made one role"},
	{badIgnore, "bad-ignore", Warning, "An authgate:ignore comment cannot be read"},
	{idleIgnore, "idle-ignore", Warning, "An authgate:ignore comment silences nothing"},
	{incomplete, "incomplete", Info, "Not all pairs of rows were looked at"},
}

// Checks gives every kind of finding, by code.
func Checks() []Check { return slices.Clone(checks[:]) }

func severityOf(code string) Severity {
	for _, c := range checks {
		if c.Code == code {
			return c.Severity
		}
	}
	return Error
}

func isCode(code string) bool {
	return slices.ContainsFunc(checks[:], func(c Check) bool { return c.Code == code })
}
