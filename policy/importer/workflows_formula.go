package importer

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/text"
)

// atom is one thing that a rule asks about a person, and that a row can say: a group,
// all groups that begin with ORG:, an e-mail address, all addresses of a domain.
// The kind unknown is for all else; text then says what it is.
type atom struct {
	kind atomKind
	text string
}

type atomKind int

const (
	groupAtom  atomKind = iota // text is the name
	teamsAtom                  // text is what the name begins with: ORG:
	emailAtom                  // text is the address
	domainAtom                 // text is the domain
	unknownAtom
	everyoneAtom // what an empty conjunction says, for rows
)

// literal is an atom, or that it does not hold.
type literal struct {
	atom
	not    bool
	column int // in the rule, where it is known
}

// conjunction holds where all of its literals do; an empty one always.
type conjunction []literal

// formula is a rule as a disjunction of conjunctions; an empty one never holds.
type formula []conjunction

var (
	always = formula{{}}
	never  = formula{}
)

// maxConjunctions bounds what && of || expands to.
const maxConjunctions = 500

func or(a, b formula) formula { return simplified(append(slices.Clone(a), b...)) }

// and gives nil for what is too large.
func and(a, b formula) formula {
	if len(a)*len(b) > maxConjunctions {
		return nil
	}
	both := formula{}
	for _, x := range a {
		for _, y := range b {
			both = append(both, append(slices.Clone(x), y...))
		}
	}
	return simplified(both)
}

func not(a formula) formula {
	all := always
	for _, c := range a {
		some := formula{}
		for _, l := range c {
			some = append(some, conjunction{{l.atom, !l.not, l.column}})
		}
		if all = and(all, some); all == nil {
			return nil
		}
	}
	return all
}

// simplified takes out what can never hold, literals that others say, and conjunctions
// that a shorter one covers.
func simplified(f formula) formula {
	satisfiable := formula{}
	for _, c := range f {
		if c = c.simplified(); c != nil {
			satisfiable = append(satisfiable, c)
		}
	}
	var minimal formula
	for i, c := range satisfiable {
		covered := slices.ContainsFunc(satisfiable[:i], func(other conjunction) bool { return c.implies(other) }) ||
			slices.ContainsFunc(satisfiable[i+1:],
				func(other conjunction) bool { return c.implies(other) && !other.implies(c) })
		if !covered {
			minimal = append(minimal, c)
		}
	}
	if minimal == nil {
		return never
	}
	return minimal
}

// simplified gives nil for a conjunction that can never hold.
func (c conjunction) simplified() conjunction {
	kept := conjunction{}
	for i, l := range c {
		implied := false
		for j, other := range c {
			if l.excludes(other) {
				return nil
			}
			implied = implied || i != j && other.implies(l) && (j < i || !l.implies(other))
		}
		if !implied {
			kept = append(kept, l)
		}
	}
	return kept
}

// implies reports whether c holds only where d does.
func (c conjunction) implies(d conjunction) bool {
	for _, wanted := range d {
		if !slices.ContainsFunc(c, func(l literal) bool { return l.implies(wanted) }) {
			return false
		}
	}
	return true
}

func (l literal) implies(m literal) bool {
	switch {
	case !l.not && !m.not:
		return l.atom == m.atom || l.isSubsetOf(m.atom)
	case l.not && m.not:
		return l.atom == m.atom || m.isSubsetOf(l.atom)
	case !l.not && m.not:
		return l.isDisjoint(m.atom)
	}
	return false
}

func (l literal) excludes(m literal) bool { return l.implies(literal{m.atom, !m.not, 0}) }

// isSubsetOf reports whether an atom says more than another one.
func (a atom) isSubsetOf(b atom) bool {
	switch {
	case a.kind == groupAtom && b.kind == teamsAtom, a.kind == teamsAtom && b.kind == teamsAtom:
		return strings.HasPrefix(a.text, b.text)
	case a.kind == emailAtom && b.kind == domainAtom:
		_, domain, _ := strings.Cut(a.text, "@")
		return domain == b.text
	}
	return false
}

// isDisjoint reports whether no one is both: a person has one e-mail address.
func (a atom) isDisjoint(b atom) bool {
	isEmail := func(k atomKind) bool { return k == emailAtom || k == domainAtom }
	return isEmail(a.kind) && isEmail(b.kind) && a != b && !a.isSubsetOf(b) && !b.isSubsetOf(a)
}

// excluding gives what a formula says of those for whom none of the atoms holds: they have
// an account of a higher rank.
func (f formula) excluding(higher []atom) formula {
	remaining := formula{}
	for _, c := range f {
		conjunct := conjunction{}
		excluded := false
		for _, l := range c {
			covered := slices.ContainsFunc(higher, func(t atom) bool { return l.atom == t || l.isSubsetOf(t) })
			excluded = excluded || covered && !l.not
			if !covered {
				conjunct = append(conjunct, l)
			}
		}
		if !excluded {
			remaining = append(remaining, conjunct)
		}
	}
	return simplified(remaining)
}

// overlaps reports whether both may hold of one person.
func (f formula) overlaps(g formula) bool {
	both := and(f, g)
	return both == nil || len(both) > 0
}

// String says a literal in a rule's own words.
func (l literal) String() string {
	text := map[atomKind]string{
		groupAtom: text.Quote(l.text) + " in groups", teamsAtom: "any group that begins with " + text.Quote(l.text),
		emailAtom: "email == " + text.Quote(l.text), domainAtom: "email ends with " + text.Quote("@"+l.text),
		unknownAtom: l.text,
	}[l.kind]
	if l.not {
		return "not " + text
	}
	return text
}

func (c conjunction) String() string {
	var words []string
	for _, l := range c {
		words = append(words, l.String())
	}
	return strings.Join(words, " and ")
}
