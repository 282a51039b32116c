package policyimport

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// project is an AppProject, as far as its roles go.
type project struct {
	name  string
	at    fault.Position
	roles []projectRole
}

type projectRole struct {
	name   string // as Argo CD knows it: proj:PROJECT:ROLE
	short  string
	at     fault.Position
	groups []textLine
	rules  []entry
	broken bool // Argo CD does not load a row of it
}

// takeProject reads spec.roles of an AppProject.
func (a *argoCD) takeProject(f *file, name string, spec, at *yaml.Node) {
	if spec == nil {
		return
	}
	keys, ok := f.mapping("spec", spec)
	if !ok || keys["roles"] == nil || isNull(aliased(keys["roles"])) {
		return
	}
	a.someProject = true
	if strings.Contains(name, "{{") {
		f.template(f.at(at))
		return
	}
	p := project{name: name, at: f.at(at)}
	switch {
	case name == "":
		a.faults.Add(f.at(at), "an AppProject has no name", "write metadata.name")
		return
	case a.knowsProject(name):
		a.faults.Add(f.at(at), "AppProject "+quote(name)+" is there a second time", "give each once")
		return
	}
	roles := aliased(keys["roles"])
	if roles.Kind != yaml.SequenceNode {
		a.faults.Add(f.at(roles), "spec.roles must be a list", "")
		return
	}
	for _, item := range roles.Content {
		fields, ok := f.mapping("the role", item)
		if !ok {
			continue
		}
		short := value(fields["name"])
		role := projectRole{name: "proj:" + name + ":" + short, short: short, at: f.at(aliased(item))}
		role.groups = f.list("groups", fields["groups"])
		for _, line := range f.list("policies", fields["policies"]) {
			e, broken := a.entry(line)
			if broken != "" {
				role.broken = true
				a.loss(line.at, broken+line.in, "Argo CD loads none of the roles of project "+name+" with such a line: write "+
					"p, "+role.name+", RESOURCE, ACTION, "+name+"/OBJECT, allow")
				continue
			}
			if e != nil {
				role.rules = append(role.rules, *e)
			}
		}
		p.roles = append(p.roles, role)
	}
	a.projects = append(a.projects, p)
}

func (a *argoCD) knowsProject(name string) bool {
	for _, p := range a.projects {
		if p.name == name {
			return true
		}
	}
	return false
}

// list gives the strings of a list, with their places.
func (f *file) list(name string, n *yaml.Node) []textLine {
	if n == nil || isNull(aliased(n)) {
		return nil
	}
	if n = aliased(n); n.Kind != yaml.SequenceNode {
		f.faults.Add(f.at(n), name+" must be a list", "")
		return nil
	}
	var all []textLine
	for _, item := range n.Content {
		if item = aliased(item); item.Kind != yaml.ScalarNode {
			f.faults.Add(f.at(item), "an item of "+name+" is no string", "put it in quotes")
			continue
		}
		if strings.Contains(item.Value, "{{") {
			f.template(f.at(item))
			return nil
		}
		// A policy may hold several lines, which Argo CD reads one by one.
		for _, line := range strings.Split(item.Value, "\n") {
			if strings.TrimSpace(line) != "" {
				all = append(all, textLine{text: line, at: f.at(item)})
			}
		}
	}
	return all
}
