package policyimport

import (
	"encoding/csv"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// The ConfigMaps, whose names Argo CD knows by heart (common/common.go).
const (
	rbacMap  = "argocd-rbac-cm"
	argocdCM = "argocd-cm"
)

// argoCD is what the two ConfigMaps say.
type argoCD struct {
	upstream string
	faults   fault.List

	rbac, cm         map[string]*yaml.Node
	rbacFile, cmFile *file

	entries  []entry
	scopes   []string
	regex    bool            // policy.matchMode
	accounts map[string]bool // local ones; without argocd-cm only that of admin
}

// entry is one row of Argo CD's policy.
type entry struct {
	fields []string // the kind is the first of them
	text   string
	at     fault.Position
	in     string // which line it is, where the place does not say so
}

// ArgoCD reads argocd-rbac-cm, and argocd-cm if it is among the files. An error of
// type [fault.Faults] says what Argo CD could not read, either.
//
// Who somebody is becomes g rows. What a role may do stays in Argo CD, which goes
// on asking its own p rows: here is decided which doors it takes to get there.
func ArgoCD(sources []Source, upstream string) (*Result, error) {
	a := &argoCD{upstream: upstream, accounts: map[string]bool{"admin": true}}
	a.find(sources, readObjects(sources, &a.faults))
	if a.faults.Empty() {
		a.read()
	}
	if err := a.faults.Err(); err != nil {
		return nil, err
	}
	d := newDraft()
	a.write(d)
	return d.finish()
}

func (a *argoCD) find(sources []Source, objects []object) {
	for _, o := range objects {
		if o.kind != "ConfigMap" || o.name != rbacMap && o.name != argocdCM {
			continue
		}
		data, ok := o.section("data")
		if data == nil {
			data = map[string]*yaml.Node{}
		}
		into, from := &a.rbac, &a.rbacFile
		if o.name == argocdCM {
			into, from = &a.cm, &a.cmFile
		}
		if *into != nil {
			a.faults.Add(o.file.at(o.node), "a second ConfigMap "+o.name, "give one; Argo CD reads one")
		}
		if ok {
			*into, *from = data, o.file
		}
	}
	if a.rbac == nil && a.faults.Empty() {
		a.faults.Add(fault.Position{File: sources[0].Name}, "there is no ConfigMap named "+rbacMap+" in the files", "write it to a file: kubectl -n argocd get configmap "+rbacMap+" -o yaml")
	}
}

var account = regexp.MustCompile(`^accounts\.([^.]+)(\.enabled)?$`)

func (a *argoCD) read() {
	for key := range a.cm {
		if m := account.FindStringSubmatch(key); m != nil {
			a.accounts[m[1]] = true
		}
	}
	a.regex = value(a.rbac["policy.matchMode"]) == "regex"
	a.scopes = []string{"groups"}
	if n := a.rbac["scopes"]; value(n) != "" {
		if err := yaml.Unmarshal([]byte(value(n)), &a.scopes); err != nil {
			a.faults.Add(a.rbacFile.at(n), "scopes is no list of claims", `write scopes: '[groups, email]'`)
		}
	}
	// policy.csv first, then what lies over it in the order of names
	// (util/rbac/rbac.go, PolicyCSV).
	var more []string
	for key := range a.rbac {
		if key != policyName && strings.HasPrefix(key, "policy.") && strings.HasSuffix(key, ".csv") {
			more = append(more, key)
		}
	}
	slices.Sort(more)
	for _, key := range append([]string{policyName}, more...) {
		if n := a.rbac[key]; n != nil && value(n) != "" {
			for _, line := range a.rbacFile.textLines(key, n) {
				a.readLine(line)
			}
		}
	}
}

// readLine follows util/rbac/rbac.go, loadPolicyLine: blanks around the line and
// before a field go, those behind a field stay and are part of the name; # begins
// a comment at the beginning of a line only. One bad line, and Argo CD loads none.
func (a *argoCD) readLine(l textLine) {
	text := strings.TrimSpace(l.text)
	if text == "" || text[0] == '#' {
		return
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.TrimLeadingSpace = true
	fields, err := reader.Read()
	const broken = "Argo CD does not load a policy with such a line"
	switch {
	case err != nil:
		a.faults.Add(l.at, "the quotes of the row are wrong"+l.in, broken+": close them right before the comma")
	case fields[0] == "p" && len(fields) != 6:
		a.faults.Add(l.at, "a p row has 6 fields and this one has another number"+l.in, broken+": write p, SUBJECT, RESOURCE, ACTION, OBJECT, EFFECT")
	case fields[0] == "g" && len(fields) != 3:
		a.faults.Add(l.at, "a g row has 3 fields and this one has another number"+l.in, broken+": write g, MEMBER, ROLE")
	case fields[0] != "p" && fields[0] != "g":
		a.faults.Add(l.at, "row kind "+quote(fields[0])+" is not known"+l.in, broken+": begin it with p or g")
	default:
		a.entries = append(a.entries, entry{fields, text, l.at, l.in})
	}
}

// of gives the rows of a kind.
func (a *argoCD) of(kind string) []entry {
	var found []entry
	for _, e := range a.entries {
		if e.fields[0] == kind {
			found = append(found, e)
		}
	}
	return found
}

func (a *argoCD) write(d *draft) {
	d.comment("From Argo CD: %s.", rbacMap)
	d.comment("")
	d.comment("These rows say who gets to which door. Behind it Argo CD asks its own rows, on")
	d.comment("the person's own token: give the upstream identity: {credential: idToken}.")
	d.blank()
	d.comment("Who")
	d.blank()
	names := a.roleNames()
	for _, e := range a.of("g") {
		a.member(d, names, e)
	}
	a.everybody(d, names)
	d.blank()
	a.stays(d, names)
	a.doors(d, names)
}
