package cases

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// parseYAML reads the form that groups cases by person. It goes through the nodes,
// because the library's own decoding stops at the first mistake and takes words
// for dates and numbers.
func (r *caseReader) parseYAML(data []byte) {
	root, ok := yamlfile.ParseDocument(r.file, data, "write cases: and a list of them", &r.faults)
	if !ok {
		return
	}
	top, complete := r.mapping(root, "cases")
	list, written := top["cases"]
	switch {
	case written:
	case complete:
		r.faults.Add(r.position(root), "the file has no cases", "write cases: and a list of them")
		fallthrough
	default:
		return
	}
	for _, item := range r.list("cases", list) {
		if r.full {
			return
		}
		r.parseGroup(item)
	}
}

// parseGroup reads one item of cases: what one person may and may not.
func (r *caseReader) parseGroup(item *yaml.Node) {
	keys, complete := r.mapping(item, "name", "who", "only", "allow", "deny")
	if keys["only"] != nil {
		r.parseInvariant(item, keys)
		return
	}
	var c Case
	known := false // who asks
	if whoNode, written := keys["who"]; written {
		c, known = r.parseSubjects(r.subjectFields("who", whoNode))
	} else if complete {
		r.faults.Add(r.position(item), "the case does not say who asks",
			"add who: with a group, role:NAME, user:EMAIL or system:anonymous")
	}
	if name, written := keys["name"]; written {
		f, _ := r.stringValue("name", name)
		c.Name = f.Text
	}
	if complete && keys["allow"] == nil && keys["deny"] == nil {
		r.faults.Add(r.position(item), "the case expects nothing",
			"add allow: or deny: with a list such as [GET argocd:/]")
	}
	effects := []policy.Effect{policy.Allow, policy.Deny}
	if allow, deny := keys["allow"], keys["deny"]; allow != nil && deny != nil && deny.Line < allow.Line {
		slices.Reverse(effects) // cases come in the order of the file
	}
	for _, effect := range effects {
		list, written := keys[effect.String()]
		if !written {
			continue
		}
		c.Expect = effect
		for _, request := range r.list(effect.String(), list) {
			if r.full {
				return
			}
			if parsed, valid := r.parseRequest(c, request); valid && known {
				r.addUnique(parsed)
			}
		}
	}
}

// subjectFields reads one subject, or a list of them.
func (r *caseReader) subjectFields(key string, n *yaml.Node) []policy.Field {
	nodes := []*yaml.Node{n}
	if yamlfile.ResolveAlias(n).Kind == yaml.SequenceNode {
		nodes = r.list(key, n)
	}
	var named []policy.Field
	for _, n := range nodes {
		if f, ok := r.stringValue(key, n); ok {
			named = append(named, f)
		}
	}
	return named
}

// parseRequest reads METHOD TARGET, or a mapping that also names the row.
func (r *caseReader) parseRequest(c Case, n *yaml.Node) (Case, bool) {
	var rule policy.Field
	ruleOK := true
	if yamlfile.ResolveAlias(n).Kind == yaml.MappingNode {
		keys, complete := r.mapping(n, "request", "rule")
		if at, written := keys["rule"]; written {
			rule, ruleOK = r.stringValue("rule", at)
		}
		request, written := keys["request"]
		if !written {
			if complete {
				r.faults.Add(r.position(n), "the request is missing", "add request: such as GET argocd:/")
			}
			return c, false
		}
		n = request
	}
	method, name, ok := r.splitRequest(n)
	if !ok {
		return c, false
	}
	c, ok = r.resolveRequest(c, method, name)
	if ruleOK {
		c.Rule, ruleOK = r.parseRule(rule, c.Expect)
	}
	return c, ok && ruleOK
}

func (r *caseReader) splitRequest(n *yaml.Node) (method, name policy.Field, ok bool) {
	f, ok := r.stringValue("request", n)
	if !ok {
		return f, f, false
	}
	first, rest, two := strings.Cut(f.Text, " ")
	if rest = strings.TrimLeft(rest, " "); !two {
		return f, f, r.addFault(f, text.Quote(f.Text)+" is not METHOD TARGET",
			"write such as GET argocd:/api/v1/applications")
	}
	return policy.Field{Text: first, At: f.At}, policy.Field{Text: rest, At: f.At}, true
}

// mapping reads a mapping that has no keys but these. It is sure that a key is
// missing only where it understood all that is there.
func (r *caseReader) mapping(n *yaml.Node, known ...string) (found map[string]*yaml.Node, complete bool) {
	real := yamlfile.ResolveAlias(n)
	if real.Kind != yaml.MappingNode {
		r.faults.Add(r.position(n),
			"here must be a mapping with "+strings.Join(known, ", ")+", not "+yamlfile.Describe(real), "")
		return nil, false
	}
	found, complete = map[string]*yaml.Node{}, true
	for i := 0; i+1 < len(real.Content); i += 2 {
		key, value := real.Content[i], real.Content[i+1]
		message, hint := "", ""
		switch {
		case !slices.Contains(known, key.Value) || key.Kind != yaml.ScalarNode:
			message = "unknown key " + text.Quote(key.Value)
			hint = cmp.Or(fault.DidYouMean(key.Value, known), "known here: "+strings.Join(known, ", "))
		case found[key.Value] != nil:
			message, hint = "the key "+text.Quote(key.Value)+" is written twice", "keep one"
		case yamlfile.IsNull(yamlfile.ResolveAlias(value)):
			message, hint = key.Value+" is empty", "write a value, or remove the line"
		}
		if message != "" {
			r.faults.Add(r.position(key), message, hint)
			complete = false
			continue
		}
		found[key.Value] = value
	}
	return found, complete
}

func (r *caseReader) list(name string, n *yaml.Node) []*yaml.Node {
	real := yamlfile.ResolveAlias(n)
	switch {
	case real.Kind != yaml.SequenceNode:
		r.faults.Add(r.position(n), name+" must be a list, not "+yamlfile.Describe(real),
			"write [...], or one line with - for each")
		return nil
	case len(real.Content) == 0:
		r.faults.Add(r.position(n), name+" is an empty list", "write what you expect, or remove it")
	}
	return real.Content
}

// stringValue reads a string. Whatever YAML takes for a number or a date has to be in
// quotes to be one.
func (r *caseReader) stringValue(name string, n *yaml.Node) (policy.Field, bool) {
	real := yamlfile.ResolveAlias(n)
	f := policy.Field{Text: real.Value, At: r.position(n)}
	if real.Kind != yaml.ScalarNode || real.ShortTag() != "!!str" {
		hint := ""
		if real.Kind == yaml.ScalarNode {
			hint = "put it in quotes"
		}
		return f, r.addFault(f, name+" must be a string, not "+yamlfile.Describe(real), hint)
	}
	if strings.Trim(f.Text, policy.Whitespace) == "" {
		return f, r.addFault(f, name+" is empty", "write a value")
	}
	if _, message, hint := text.CheckVisible(name, f.Text); message != "" {
		return f, r.addFault(f, message, hint)
	}
	return f, true
}

func (r *caseReader) position(n *yaml.Node) fault.Position { return yamlfile.Position(r.file, n) }
