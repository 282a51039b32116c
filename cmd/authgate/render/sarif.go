package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/example-org/authgate/policy/lint"
)

// SARIF 2.1.0 (OASIS, 2020) is what code scanning services read. Only what they
// show is written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string     `json:"id"`
		Name    string     `json:"name"`
		Short   sarifText  `json:"shortDescription"`
		Full    sarifText  `json:"fullDescription"`
		Help    sarifText  `json:"help"`
		HelpURI string     `json:"helpUri"`
		Default sarifLevel `json:"defaultConfiguration"`
		Labels  sarifTags  `json:"properties"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifTags struct {
		Tags []string `json:"tags"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI     string `json:"uri"`
		URIBase string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	homePage    = "https://github.com/example-org/authgate"
	sourceRoot  = "%SRCROOT%"

	// GitHub's own upload works out primaryLocationLineHash and complains of
	// anything else under that name.
	fingerprint = "authgatePolicyLint/v1"
)

// SARIF writes findings for a code scanning service. Files are named relative
// to the working directory, which should be the root of the repository.
func SARIF(w io.Writer, findings []lint.Finding, version string) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "authgate", Version: version, InformationURI: homePage}
	index := map[string]int{}
	for i, check := range lint.Checks() {
		index[check.Code] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: check.Code, Name: check.Name, Short: sarifText{check.Title}, Full: sarifText{check.Title + "."},
			Help: sarifText{"See " + LintDocs(check.Code)}, HelpURI: LintDocs(check.Code),
			Default: sarifLevel{levelOf(check.Severity)}, Labels: sarifTags{[]string{"security", "access-control"}},
		})
	}
	root, err := os.Getwd()
	if err != nil {
		root = "" // absolute names stay absolute
	}
	seen := map[string]int{} // fingerprint → how often so far
	for _, f := range findings {
		at := artifact(root, f.At.File)
		id := fingerprintOf(f, at.URI)
		seen[id]++
		message := f.Message
		if f.Hint != "" {
			message += "; " + f.Hint
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Code, RuleIndex: index[f.Code], Level: levelOf(f.Severity), Message: sarifText{message},
			Locations:    []sarifLocation{{sarifPhysical{at, region(f)}}},
			Fingerprints: map[string]string{fingerprint: fmt.Sprintf("%s:%d", id, seen[id])},
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{sarifSchema, "2.1.0", []sarifRun{run}})
}

func levelOf(s lint.Severity) string {
	if s == lint.Info {
		return "note"
	}
	return s.String()
}

// fingerprintOf names a finding as long as its line says the same, wherever the line
// moves. The message is no part of it: it names other lines.
func fingerprintOf(f lint.Finding, uri string) string {
	sum := sha256.Sum256([]byte(f.Code + "\x00" + uri + "\x00" + strings.TrimSpace(f.Line)))
	return hex.EncodeToString(sum[:8])
}

func artifact(root, file string) sarifArtifact {
	if filepath.IsAbs(file) {
		relative, err := filepath.Rel(root, file)
		if root == "" || err != nil || !filepath.IsLocal(relative) {
			return sarifArtifact{URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()}
		}
		file = relative
	}
	return sarifArtifact{URI: (&url.URL{Path: filepath.ToSlash(filepath.Clean(file))}).String(), URIBase: sourceRoot}
}

// region counts characters, where a position counts bytes. What concerns a whole
// file is shown at its first line.
func region(f lint.Finding) sarifRegion {
	if f.At.Line == 0 {
		return sarifRegion{1, 1}
	}
	before := f.Line[:min(max(f.At.Column-1, 0), len(f.Line))]
	return sarifRegion{f.At.Line, 1 + utf8.RuneCountInString(before)}
}

// LintDocsURL is the page that explains the codes of lint.
const LintDocsURL = homePage + "/blob/main/docs/lint.md"

// LintDocs is the address of what that page says about a code.
func LintDocs(code string) string { return LintDocsURL + "#" + strings.ToLower(code) }
