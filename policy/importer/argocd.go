package importer

import (
	"encoding/csv"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Options say how rows are written.
type Options struct {
	Upstream   string // as the configuration names it
	RolePrefix string // of the names of roles, after role:
	Namespace  string // of Argo Workflows: where argo-server looks for the account of a login
}

// argoCD is what the files say of Argo CD.
type argoCD struct {
	Options
	sources   []Source
	readFiles []string // files that another one names
	faults    fault.List
	skipped   fault.List
	notes     fault.List

	rbac, serverConfig settings
	texts              []policyText
	projects           []project
	hasProjects        bool

	entries  []entry
	scopes   []string
	accounts map[string]bool // local ones; without argocd-cm only that of admin
	model    *model
}

// policyText is a policy.csv.
type policyText struct {
	key   string
	lines []textLine
}

// entry is one row of Argo CD's policy.
type entry struct {
	fields   []string // the kind is the first of them
	text     string
	at       fault.Position
	lineHint string // which line it is, where the place does not say so
}

// ArgoCD reads argocd-rbac-cm, argocd-cm and AppProjects, from objects, patches,
// values of Helm or bare CSV. An error of type [fault.Faults] says what Argo CD could
// not read, either.
//
// Who holds which role becomes g rows. What a role may do on which object stays in Argo CD,
// which goes on asking its own p rows: here is decided which endpoints it takes.
func ArgoCD(sources []Source, options Options) (*Result, error) {
	a := &argoCD{
		Options: options, sources: sources, accounts: map[string]bool{"admin": true},
		rbac:         settings{name: rbacMap, keys: map[string]setting{}},
		serverConfig: settings{name: argocdCM, keys: map[string]setting{}},
	}
	a.readSources(sources)
	if a.faults.Empty() {
		a.readSettings()
	}
	if err := a.faults.Err(); err != nil {
		return nil, err
	}
	d := newPolicyBuilder()
	w := &argocdWriter{argoCD: a, pb: d}
	w.write()
	for _, f := range faultsOf(&a.skipped) {
		d.skipped.Add(f.Position, f.Message, f.Hint)
	}
	for _, f := range faultsOf(&a.notes) {
		d.notes.Add(f.Position, f.Message, f.Hint)
	}
	result, err := d.finish()
	if err == nil && result.Rows == 0 && len(result.Skipped) == 0 {
		at := fault.Position{File: sources[0].Name}
		result.Skipped = fault.Faults{{
			Position: at, Message: "no row of the files grants anything to people",
			Hint: writeOwn,
		}}
	}
	return result, err
}

func (a *argoCD) skip(at fault.Position, message, hint string) {
	a.skipped.Add(at, printable(message), printable(hint))
}

func (a *argoCD) note(at fault.Position, message, hint string) {
	a.notes.Add(at, printable(message), printable(hint))
}

func (a *argoCD) readSettings() {
	if a.rbac.file == nil && len(a.rbac.keys)+len(a.texts) == 0 && !a.hasProjects {
		a.faults.Add(fault.Position{File: a.sources[0].Name},
			"there is no ConfigMap named "+rbacMap+" in the files, nor "+
				"another form of it",
			"write it to a file: kubectl -n argocd get configmap "+rbacMap+" -o yaml")
		return
	}
	for key := range a.serverConfig.keys {
		if m := account.FindStringSubmatch(key); m != nil {
			a.accounts[m[1]] = true
		}
	}
	if a.checkTemplates(); !a.faults.Empty() {
		return
	}
	a.readScopes()
	a.readTexts()
	a.buildModel()
}

// checkTemplates looks for actions of Helm in what is read: elsewhere in a file they
// are no concern of this one.
func (a *argoCD) checkTemplates() {
	for _, of := range []settings{a.rbac, a.serverConfig} {
		for key, s := range of.keys {
			if !isPolicyKey(key) && key != "scopes" && !isServerKey(key) {
				continue
			}
			n := yamlfile.ResolveAlias(s.node)
			if n.Kind == yaml.MappingNode && n.Line <= len(s.file.lines) &&
				strings.Contains(s.file.lines[n.Line-1], "{{") {
				s.file.addTemplateFault(s.at())
				return
			}
			for _, line := range s.file.textLines(key, n) {
				if strings.Contains(line.text, "{{") && !strings.HasPrefix(strings.TrimSpace(line.text), "#") {
					s.file.addTemplateFault(line.at)
					return
				}
			}
		}
	}
}

func (a *argoCD) readScopes() {
	a.scopes = []string{"groups"}
	s, given := a.rbac.keys["scopes"]
	if !given || s.node == nil {
		return
	}
	n := yamlfile.ResolveAlias(s.node)
	var err error
	switch {
	case n.Kind == yaml.SequenceNode:
		err = n.Decode(&a.scopes)
	case value(n) != "":
		err = yaml.Unmarshal([]byte(value(n)), &a.scopes)
	}
	if err != nil {
		a.faults.Add(s.at(), "scopes is no list of claims", `write scopes: '[groups, email]'`)
	}
}

// readTexts reads policy.csv first, then what lies over it in the order of names
// (util/rbac/rbac.go, PolicyCSV).
func (a *argoCD) readTexts() {
	var more []string
	for key := range a.rbac.keys {
		if key != policyName && isPolicyText(key) {
			more = append(more, key)
		}
	}
	slices.Sort(more)
	for _, key := range append([]string{policyName}, more...) {
		if s := a.rbac.keys[key]; s.value() != "" {
			a.readText(s.file.textLines(key, s.node))
		}
	}
	for _, text := range a.texts {
		a.readText(text.lines)
	}
}

func (a *argoCD) readText(lines []textLine) {
	for _, line := range lines {
		e, problem := a.entry(line)
		if problem != "" {
			how := rowHint(problem)
			if line.folded {
				how = "write | for the > after the key, which makes one line of several"
			}
			a.faults.Add(line.at, problem+line.lineHint, "Argo CD does not load a policy with such a line: "+how)
		} else if e != nil {
			a.entries = append(a.entries, *e)
		}
	}
}

// Faults of a row, each with what to do.
const (
	badQuotes = "the quotes of the row are wrong"
	badPRow   = "a p row has 6 fields and this one has another number"
	badGRow   = "a g row has 3 fields and this one has another number"
)

func rowHint(problem string) string {
	switch problem {
	case badQuotes:
		return "close them right before the comma"
	case badPRow:
		return "write p, SUBJECT, RESOURCE, ACTION, OBJECT, EFFECT"
	case badGRow:
		return "write g, MEMBER, ROLE, with a MEMBER that holds commas in double quotes"
	}
	return "begin it with p or g"
}

// entry follows util/rbac/rbac.go, loadPolicyLine: spaces around the line and before
// a field go, those after a field stay and are part of the name; # begins a comment
// at the beginning of a line only. One bad line, and Argo CD loads none.
func (a *argoCD) entry(l textLine) (e *entry, problem string) {
	line := strings.TrimSpace(l.text)
	if line == "" || line[0] == '#' {
		return nil, ""
	}
	reader := csv.NewReader(strings.NewReader(line))
	reader.TrimLeadingSpace = true
	fields, err := reader.Read()
	switch {
	case err != nil:
		return nil, badQuotes
	case fields[0] == "p" && len(fields) != 6:
		return nil, badPRow
	case fields[0] == "g" && len(fields) != 3:
		return nil, badGRow
	case fields[0] != "p" && fields[0] != "g":
		return nil, "row kind " + text.Quote(fields[0]) + " is not known"
	}
	return &entry{fields, line, l.at, l.lineHint}, ""
}

// buildModel gives the rows to what decides as Argo CD does.
func (a *argoCD) buildModel() {
	m := newModel(a.rbac.keys["policy.matchMode"].value() == "regex")
	m.settings[ownRollback] = a.serverConfig.isOn(rollbackSetting)
	m.settings[wideUpdate] = a.serverConfig.keys[inheritSetting].value() == "false"
	m.addBuiltin()
	add := func(e entry, project string) {
		if e.fields[0] == "p" {
			m.addRow(e, project, false)
		} else if message, _ := a.nameProblem(e); message == "" {
			m.grants = append(m.grants, grantRow{e.fields[1], e.fields[2], project})
		}
	}
	for _, e := range a.entries {
		add(e, "")
	}
	for i := range a.projects {
		a.addProject(&a.projects[i], add)
		m.projects = append(m.projects, a.projects[i].name)
	}
	slices.Sort(m.projects)
	a.model = m
}

// addProject gives the rows that Argo CD makes of a project (ProjectPoliciesString).
func (a *argoCD) addProject(p *project, add func(e entry, project string)) {
	for _, role := range p.roles {
		if role.invalid {
			p.roles = nil
			return
		}
	}
	for i := range p.roles {
		role := &p.roles[i]
		add(entry{fields: []string{"p", role.name, "projects", "get", p.name, "allow"}, at: role.at}, p.name)
		for _, e := range role.rows {
			add(e, p.name)
		}
		for _, group := range role.groups {
			add(entry{
				fields: []string{"g", group.text, role.name}, text: "g, " + group.text + ", " + role.name,
				at: group.at,
			}, p.name)
		}
	}
}
