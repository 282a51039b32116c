package policy

import (
	"slices"
)

// census is the subjects that one policy, or the old and the new one, know by
// name, each taken alone. Whoever is more than one of them holds what they hold,
// so that what is known of each is enough to know all of everybody.
type census struct {
	names   []string       // in the order of bySubject
	kindOf  map[string]int // name → index into kinds
	kinds   []kind
	holders []map[string][]int // for each policy: subject of p rows → the kinds that hold it
}

// kind is subjects that hold the same subjects of p rows, in each of the policies:
// no row tells them apart. A policy has few kinds, however many groups it names.
type kind struct {
	subjects []string // in the order of bySubject
	numbers  []int    // the same, as indices into the names of the census
}

// censusOf takes further names, which the policies need not know.
func censusOf(further []string, policies ...*Snapshot) *census {
	c := &census{names: namesOf(further, policies...), kindOf: map[string]int{}}
	ruled := make([]subjects, len(policies))
	for i, s := range policies {
		c.holders = append(c.holders, map[string][]int{})
		ruled[i] = subjects{}
		for _, row := range s.rows {
			ruled[i][row.Subject] = struct{}{}
		}
	}
	kinds := map[string]int{} // what is held → index
	held := make([][]string, len(policies))
	var key []byte
	for number, subject := range c.names {
		key = key[:0]
		for i, s := range policies {
			roles := s.alone(subject)
			held[i] = held[i][:0]
			for _, name := range slices.Concat(roles.Names(), roles.Subjects()) {
				if ruled[i].has(name) {
					held[i] = append(held[i], name)
				}
			}
			slices.Sort(held[i])
			for _, name := range held[i] {
				key = append(append(key, name...), 0)
			}
			key = append(key, 0)
		}
		k, known := kinds[string(key)]
		if !known {
			k = len(c.kinds)
			kinds[string(key)] = k
			c.kinds = append(c.kinds, kind{})
			for i := range policies {
				for _, name := range held[i] {
					c.holders[i][name] = append(c.holders[i][name], k)
				}
			}
		}
		c.kindOf[subject] = k
		c.kinds[k].subjects = append(c.kinds[k].subjects, subject)
		c.kinds[k].numbers = append(c.kinds[k].numbers, number)
	}
	return c
}

// namesOf gives every subject that a policy names, and further ones.
func namesOf(further []string, policies ...*Snapshot) []string {
	names := slices.Clone(further)
	for _, s := range policies {
		names = append(names, s.numbers.names...)
	}
	slices.SortFunc(names, bySubject)
	return slices.Compact(names)
}

// ruling is what some rows come to for somebody: the first row that allows and
// the first that denies, in the order of the files.
type ruling struct{ allow, deny *Row }

func (r ruling) allows() bool { return r.allow != nil && r.deny == nil }

// row gives the row that decides, as Decide does.
func (r ruling) row() *Row {
	if r.deny != nil {
		return r.deny
	}
	return r.allow
}

// rulings are those of every kind of people at one place. Like the paper on a
// desk it is wiped and used again.
type rulings struct {
	of      []ruling // by kind
	touched []int    // kinds of which some row speaks
}

func newRulings(c *census) *rulings { return &rulings{of: make([]ruling, len(c.kinds))} }

// judge says what rows come to, given in the order of the files, by the holders
// of one policy.
func (r *rulings) judge(rows []*Row, holders map[string][]int) {
	for _, k := range r.touched {
		r.of[k] = ruling{}
	}
	r.touched = r.touched[:0]
	for _, row := range rows {
		for _, k := range holders[row.Subject] {
			at := &r.of[k]
			if at.allow == nil && at.deny == nil {
				r.touched = append(r.touched, k)
			}
			if row.Effect == Deny && at.deny == nil {
				at.deny = row
			}
			if row.Effect == Allow && at.allow == nil {
				at.allow = row
			}
		}
	}
}
