package importer

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// project is an AppProject, as far as its roles go.
type project struct {
	name  string
	at    fault.Position
	roles []projectRole
}

type projectRole struct {
	name    string // as Argo CD knows it: proj:PROJECT:ROLE
	short   string
	at      fault.Position
	groups  []textLine
	rows    []entry
	invalid bool // Argo CD does not load a row of it
}

// readProject reads spec.roles of an AppProject.
func (a *argoCD) readProject(f *file, name string, spec, at *yaml.Node) {
	if spec == nil {
		return
	}
	keys, ok := f.mapping("spec", spec)
	if !ok || keys["roles"] == nil || yamlfile.IsNull(yamlfile.ResolveAlias(keys["roles"])) {
		return
	}
	a.hasProjects = true
	if strings.Contains(name, "{{") {
		f.addTemplateFault(f.at(at))
		return
	}
	p := project{name: name, at: f.at(at)}
	switch {
	case name == "":
		a.faults.Add(f.at(at), "an AppProject has no name", "write metadata.name")
		return
	case a.knowsProject(name):
		a.faults.Add(f.at(at), "AppProject "+text.Quote(name)+" is there a second time", "give each once")
		return
	}
	roles := yamlfile.ResolveAlias(keys["roles"])
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
		role := projectRole{name: "proj:" + name + ":" + short, short: short, at: f.at(yamlfile.ResolveAlias(item))}
		role.groups = f.textList("groups", fields["groups"])
		for _, line := range f.textList("policies", fields["policies"]) {
			e, problem := a.entry(line)
			if problem != "" {
				role.invalid = true
				a.skip(line.at, problem+line.lineHint,
					"Argo CD loads none of the roles of project "+name+" with such a line: write "+
						"p, "+role.name+", RESOURCE, ACTION, "+name+"/OBJECT, allow")
				continue
			}
			if e != nil {
				role.rows = append(role.rows, *e)
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

// textList gives the strings of a list, with their places.
func (f *file) textList(name string, n *yaml.Node) []textLine {
	if n == nil || yamlfile.IsNull(yamlfile.ResolveAlias(n)) {
		return nil
	}
	if n = yamlfile.ResolveAlias(n); n.Kind != yaml.SequenceNode {
		f.faults.Add(f.at(n), name+" must be a list", "")
		return nil
	}
	var all []textLine
	for _, item := range n.Content {
		if item = yamlfile.ResolveAlias(item); item.Kind != yaml.ScalarNode {
			f.faults.Add(f.at(item), "an item of "+name+" is no string", "put it in quotes")
			continue
		}
		if strings.Contains(item.Value, "{{") {
			f.addTemplateFault(f.at(item))
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
