package pathspace

import (
	"slices"

	"github.com/example-org/authgate/policy"
)

// SubjectClasses is the subjects that one policy, or the old and the new one, know by
// name, each taken alone. A user who is more than one of them holds what they hold,
// so that what is known of each is enough for every user.
type SubjectClasses struct {
	Names   []string       // in the order of CompareSubjects
	ClassOf map[string]int // name → index into kinds
	Classes []subjectClass
	Holders []map[string][]int // for each policy: subject of p rows → the kinds that hold it
}

// subjectClass is subjects that hold the same subjects of p rows, in each of the policies:
// no row tells them apart. A policy has few kinds, however many groups it names.
type subjectClass struct {
	Subjects    []string // in the order of CompareSubjects
	NameIndexes []int    // the same, as indices into the names
}

// NewSubjectClasses takes further names, which the policies need not know.
func NewSubjectClasses(extra []string, policies ...*policy.Snapshot) *SubjectClasses {
	c := &SubjectClasses{Names: SubjectNames(extra, policies...), ClassOf: map[string]int{}}
	rowSubjects := make([]policy.StringSet, len(policies))
	for i, s := range policies {
		c.Holders = append(c.Holders, map[string][]int{})
		rowSubjects[i] = policy.StringSet{}
		for _, row := range s.Rows() {
			rowSubjects[i][row.Subject] = struct{}{}
		}
	}
	byKey := map[string]int{} // what is held → index
	heldSubjects := make([][]string, len(policies))
	var key []byte
	for nameIndex, subject := range c.Names {
		key = key[:0]
		for i, s := range policies {
			roles := s.RolesOfSubject(subject)
			heldSubjects[i] = heldSubjects[i][:0]
			for _, name := range slices.Concat(roles.Names(), roles.Subjects()) {
				if rowSubjects[i].Has(name) {
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
			k = len(c.Classes)
			byKey[string(key)] = k
			c.Classes = append(c.Classes, subjectClass{})
			for i := range policies {
				for _, name := range heldSubjects[i] {
					c.Holders[i][name] = append(c.Holders[i][name], k)
				}
			}
		}
		c.ClassOf[subject] = k
		c.Classes[k].Subjects = append(c.Classes[k].Subjects, subject)
		c.Classes[k].NameIndexes = append(c.Classes[k].NameIndexes, nameIndex)
	}
	return c
}

// SubjectNames gives every subject that a policy names, and further ones.
func SubjectNames(extra []string, policies ...*policy.Snapshot) []string {
	names := slices.Clone(extra)
	for _, s := range policies {
		names = append(names, s.Subjects()...)
	}
	slices.SortFunc(names, policy.CompareSubjects)
	return slices.Compact(names)
}

// ClassDecision is what some rows decide for a user: the first row that allows and
// the first that denies, in the order of the files.
type ClassDecision struct{ Allow, Deny *policy.Row }

func (r ClassDecision) Allows() bool { return r.Allow != nil && r.Deny == nil }

// Row gives the row that decides, as Decide does.
func (r ClassDecision) Row() *policy.Row {
	if r.Deny != nil {
		return r.Deny
	}
	return r.Allow
}

// ClassDecisions are those of every kind of people at one place. Like the paper on a
// desk it is wiped and used again.
type ClassDecisions struct {
	ByClass []ClassDecision // by kind
	Touched []int           // kinds of which some row speaks
}

func NewClassDecisions(c *SubjectClasses) *ClassDecisions {
	return &ClassDecisions{ByClass: make([]ClassDecision, len(c.Classes))}
}

// Decide says what rows come to, given in the order of the files, by the holders
// of one policy.
func (d *ClassDecisions) Decide(rows []*policy.Row, holders map[string][]int) {
	for _, k := range d.Touched {
		d.ByClass[k] = ClassDecision{}
	}
	d.Touched = d.Touched[:0]
	for _, row := range rows {
		for _, k := range holders[row.Subject] {
			at := &d.ByClass[k]
			if at.Allow == nil && at.Deny == nil {
				d.Touched = append(d.Touched, k)
			}
			if row.Effect == policy.Deny && at.Deny == nil {
				at.Deny = row
			}
			if row.Effect == policy.Allow && at.Allow == nil {
				at.Allow = row
			}
		}
	}
}
