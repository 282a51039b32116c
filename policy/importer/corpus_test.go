package importer_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/importer"
	"github.com/example-org/authgate/target"
)

var update = flag.Bool("update", false, "write what is reported into the files of testdata")

// section is a part of a file of testdata: "-- name --" and what follows.
type section struct{ name, text string }

func sections(text string) []section {
	var all []section
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		if name, end := strings.CutSuffix(name, " --"); ok && end {
			all = append(all, section{name: name})
			continue
		}
		all[len(all)-1].text += line
	}
	return all
}

type importFunc func([]importer.Source, importer.Options) (*importer.Result, error)

// The files are the specification: inputs, who may do what, and what is reported.
// Names say the result of an import: good files lose nothing, lossy ones say what, and
// bad ones are refused; of any other nothing is said.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for folder, c := range map[string]struct {
		run     importFunc
		options importer.Options
	}{
		"argocd":    {importer.ArgoCD, importer.Options{Upstream: "argocd", RolePrefix: "argocd-"}},
		"workflows": {importer.Workflows, importer.Options{Upstream: "workflows", RolePrefix: "workflows-"}},
	} {
		files, err := filepath.Glob("testdata/" + folder + "/*.txt")
		if err != nil || len(files) == 0 {
			t.Fatal(folder, err)
		}
		for _, file := range files {
			t.Run(folder+"/"+strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
				t.Parallel()
				tryFile(t, file, c.run, c.options)
			})
		}
	}
}

func tryFile(t *testing.T, file string, run importFunc, options importer.Options) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sources []importer.Source
	var may, want string
	for _, s := range sections(string(text)) {
		switch s.name {
		case "may":
			may = s.text
		case "report":
			want = s.text
		default:
			sources = append(sources, importer.Source{Name: s.name, Data: []byte(s.text)})
		}
	}
	result, err := run(sources, options)
	got := report(result, err)
	if kind, _, _ := strings.Cut(filepath.Base(file), "-"); got != want && kind != "any" {
		if *update {
			begin, _, _ := strings.Cut(string(text), "-- report --\n")
			if err := os.WriteFile(file, []byte(begin+"-- report --\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Errorf("reported\n%swant\n%s", got, want)
		}
	}
	whatLoads(t, result, err)
	var faults fault.Faults
	kind, _, _ := strings.Cut(filepath.Base(file), "-")
	switch {
	case kind == "bad" && !errors.As(err, &faults):
		t.Errorf("it was read: %v", err)
	case kind == "bad":
		return
	case kind == "any":
	case err != nil:
		t.Fatal(err)
	case (kind == "good") != (len(result.Skipped) == 0):
		t.Errorf("not carried over: %v", result.Skipped)
	}
	asks(t, result, options.Upstream, may)
	uncommented(t, result)
	if t.Failed() {
		t.Log(result.Policy)
	}
}

func report(r *importer.Result, err error) string {
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, f := range r.Skipped {
		b.WriteString(f.Error() + "\n")
	}
	for _, f := range r.Notes {
		b.WriteString("note: " + f.Error() + "\n")
	}
	return b.String()
}

// asks reads lines such as: yes example-org:x GET /path.
func asks(t *testing.T, r *importer.Result, upstream, may string) {
	t.Helper()
	var snapshot *policy.Snapshot
	if r.Rows > 0 {
		var err error
		if snapshot, err = policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(r.Policy)}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(may) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			t.Fatalf("%q is no question", line)
		}
		path, method := fields[len(fields)-1], fields[len(fields)-2]
		identity := strings.Join(fields[1:len(fields)-2], " ")
		if got := snapshot != nil && allows(t, snapshot, upstream, identity, method, path); got != (fields[0] == "yes") {
			t.Errorf("%s is answered with %v", strings.TrimSpace(line), got)
		}
	}
}

func allows(t *testing.T, s *policy.Snapshot, upstream, identity, method, path string) bool {
	t.Helper()
	parsed, err := target.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	asked := policy.Identity{}
	email, isUser := strings.CutPrefix(identity, "user:")
	switch {
	case identity == "anonymous":
		asked.Anonymous = true
	case isUser:
		asked.Email = email
	default:
		for group := range strings.SplitSeq(identity, "+") {
			asked.Groups = append(asked.Groups, group)
		}
	}
	return s.Decide(policy.Request{Roles: s.Resolve(asked), Upstream: upstream, Path: parsed, Method: method}).Allowed()
}

// uncommented takes the # off every row that waits for a group: what is proposed has
// to load, too, and to grant the role.
func uncommented(t *testing.T, r *importer.Result) {
	t.Helper()
	var lines, roles []string
	for line := range strings.Lines(r.Policy) {
		row, ok := strings.CutPrefix(line, "# ")
		if ok && (strings.HasPrefix(row, "p, ") || strings.HasPrefix(row, "g, ")) {
			if role, waits := strings.CutPrefix(row, "g, GROUP, "); waits {
				roles = append(roles, strings.TrimSpace(role))
			}
			line = strings.ReplaceAll(row, "GROUP", "example-org:uncommented")
		}
		lines = append(lines, line)
	}
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(strings.Join(lines, ""))}}, nil)
	if err != nil && len(roles) > 0 {
		t.Errorf("uncommented it does not load: %v", err)
	}
	for _, role := range roles {
		if err == nil && !slices.Contains(s.Resolve(policy.Identity{Groups: []string{"example-org:uncommented"}}).Names(), role) {
			t.Errorf("uncommented, %s is not granted", role)
		}
	}
}
