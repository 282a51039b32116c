package policy

import (
	"slices"
)

// subjectClasses is the subjects that one policy, or the old and the new one, know by
// name, each taken alone. Whoever is more than one of them holds what they hold,
// so that what is known of each is enough to know all of everybody.
type subjectClasses struct {
	names   []string       // in the order of compareSubjects
	classOf map[string]int // name → index into kinds
	classes []subjectClass
	holders []map[string][]int // for each policy: subject of p rows → the kinds that hold it
}

// subjectClass is subjects that hold the same subjects of p rows, in each of the policies:
// no row tells them apart. A policy has few kinds, however many groups it names.
type subjectClass struct {
	subjects    []string // in the order of compareSubjects
	nameIndexes []int    // the same, as indices into the names of the census
}

// newSubjectClasses takes further names, which the policies need not know.
func newSubjectClasses(extra []string, policies ...*Snapshot) *subjectClasses {
	c := &subjectClasses{names: subjectNames(extra, policies...), classOf: map[string]int{}}
	rowSubjects := make([]stringSet, len(policies))
	for i, s := range policies {
		c.holders = append(c.holders, map[string][]int{})
		rowSubjects[i] = stringSet{}
		for _, row := range s.rows {
			rowSubjects[i][row.Subject] = struct{}{}
		}
	}
	byKey := map[string]int{} // what is held → index
	heldSubjects := make([][]string, len(policies))
	var key []byte
	for nameIndex, subject := range c.names {
		key = key[:0]
		for i, s := range policies {
			roles := s.rolesOfSubject(subject)
			heldSubjects[i] = heldSubjects[i][:0]
			for _, name := range slices.Concat(roles.Names(), roles.Subjects()) {
				if rowSubjects[i].has(name) {
					heldSubjects[i] = append(heldSubjects[i], name)
				}
			}
			slices.Sort(heldSubjects[i])
			for _, name := range heldSubjects[i] {
				key = append(append(key, name...), 0)
			}
			key = append(key, 0)
		}
		k, known := byKey[string(key)]
		if !known {
			k = len(c.classes)
			byKey[string(key)] = k
			c.classes = append(c.classes, subjectClass{})
			for i := range policies {
				for _, name := range heldSubjects[i] {
					c.holders[i][name] = append(c.holders[i][name], k)
				}
			}
		}
		c.classOf[subject] = k
		c.classes[k].subjects = append(c.classes[k].subjects, subject)
		c.classes[k].nameIndexes = append(c.classes[k].nameIndexes, nameIndex)
	}
	return c
}

// subjectNames gives every subject that a policy names, and further ones.
func subjectNames(extra []string, policies ...*Snapshot) []string {
	names := slices.Clone(extra)
	for _, s := range policies {
		names = append(names, s.ids.names...)
	}
	slices.SortFunc(names, compareSubjects)
	return slices.Compact(names)
}

// classDecision is what some rows come to for somebody: the first row that allows and
// the first that denies, in the order of the files.
type classDecision struct{ allow, deny *Row }

func (r classDecision) allows() bool { return r.allow != nil && r.deny == nil }

// row gives the row that decides, as Decide does.
func (r classDecision) row() *Row {
	if r.deny != nil {
		return r.deny
	}
	return r.allow
}

// classDecisions are those of every kind of people at one place. Like the paper on a
// desk it is wiped and used again.
type classDecisions struct {
	byClass []classDecision // by kind
	touched []int           // kinds of which some row speaks
}

func newClassDecisions(c *subjectClasses) *classDecisions {
	return &classDecisions{byClass: make([]classDecision, len(c.classes))}
}

// decide says what rows come to, given in the order of the files, by the holders
// of one policy.
func (d *classDecisions) decide(rows []*Row, holders map[string][]int) {
	for _, k := range d.touched {
		d.byClass[k] = classDecision{}
	}
	d.touched = d.touched[:0]
	for _, row := range rows {
		for _, k := range holders[row.Subject] {
			at := &d.byClass[k]
			if at.allow == nil && at.deny == nil {
				d.touched = append(d.touched, k)
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
