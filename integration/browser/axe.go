package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/example-org/authgate/integration/npm"
)

// Axe checks pages by the rules of WCAG. axe/package-lock.json pins it by its checksum.
type Axe struct{ script string }

// LoadAxe installs axe in a folder of this package, if it is not there yet.
func LoadAxe(ctx context.Context) (*Axe, error) {
	const dir = "axe"
	if err := npm.Install(ctx, dir, os.Stderr); err != nil {
		return nil, fmt.Errorf("installing axe: %w", err)
	}
	script, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return nil, fmt.Errorf("installing axe: %w", err)
	}
	return &Axe{string(script)}, nil
}

// violation is a rule that a page breaks.
type violation struct {
	ID    string   `json:"id"`
	Help  string   `json:"help"`
	Nodes []string `json:"nodes"`
}

// Check gives what is wrong with the page that is shown: WCAG 2.2 A and AA, and good practice.
func (a *Axe) Check(b *Tab) []string {
	b.t.Helper()
	Script[any](b, a.script+"; null")
	found := Script[string](b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html)}))))`)
	var violations []violation
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatalf("reading what axe found: %v", err)
	}
	var all []string
	for _, v := range violations {
		all = append(all, fmt.Sprintf("%s: %s: %s", v.ID, v.Help, strings.Join(v.Nodes, " | ")))
	}
	return all
}

// Layout gives what is wrong with the page besides: what axe does not look at.
func (b *Tab) Layout() []string {
	b.t.Helper()
	return Script[[]string](b, `(() => {
		const wrong = []
		const root = document.documentElement
		if (document.querySelectorAll("h1").length !== 1) wrong.push("it has not exactly one h1")
		if (!root.lang) wrong.push("it has no lang")
		if (!document.title) wrong.push("it has no title")
		if (root.scrollWidth > root.clientWidth) {
			const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest("[tabindex]"))
			wrong.push("it scrolls sideways: " + root.scrollWidth + " of " + root.clientWidth + " px; " + wide.slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" | "))
		}
		return wrong
	})()`)
}
