package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bare is a machine on which only apt-get is installed; installing brings what
// brings says.
func bare(t *testing.T, brings ...string) (m *machine, ran *[]string) {
	t.Helper()
	ran = new([]string)
	have := []string{"apt-get"}
	m = &machine{
		find:   func(program string) bool { return slices.Contains(have, program) },
		root:   true,
		policy: filepath.Join(t.TempDir(), "policy-rc.d"),
		out:    io.Discard,
	}
	m.run = func(_ context.Context, name string, args ...string) error {
		policy, err := os.ReadFile(m.policy)
		if err != nil || !strings.Contains(string(policy), "exit 101") {
			t.Errorf("%s %v ran while services may start: %v %s", name, args, err, policy)
		}
		*ran = append(*ran, name+" "+strings.Join(args, " "))
		have = append(have, brings...)
		return nil
	}
	return m, ran
}

var needed = []requirement{
	{[]string{"cc-one", "cc-two"}, []string{"compiler", "headers"}, "compiling"},
	{[]string{"server"}, []string{"server-light"}, "serving"},
}

func TestMissingProgramsAreInstalledWithoutStartingServices(t *testing.T) {
	t.Parallel()
	m, ran := bare(t, "cc-two", "server")
	if err := m.provide(t.Context(), needed); err != nil {
		t.Fatal(err)
	}
	if len(*ran) != 2 || !strings.HasSuffix((*ran)[0], " update") || !strings.HasSuffix((*ran)[1], " compiler headers server-light") {
		t.Errorf("ran %q", *ran)
	}
	if _, err := os.Stat(m.policy); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the service policy is still there: %v", err)
	}
	if err := m.provide(t.Context(), needed); err != nil || len(*ran) != 2 {
		t.Errorf("with all of them there: %v, ran %q", err, *ran)
	}
}

func TestAFailedInstallationLeavesNoServicePolicyBehind(t *testing.T) {
	t.Parallel()
	m, _ := bare(t)
	m.run = func(context.Context, string, ...string) error { return errors.New("no network") }
	if err := m.provide(t.Context(), needed); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(m.policy); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the service policy is still there: %v", err)
	}
}

func TestAnInstallationThatBringsNothingIsAnError(t *testing.T) {
	t.Parallel()
	m, _ := bare(t, "cc-one")
	if err := m.provide(t.Context(), needed); err == nil || !strings.Contains(err.Error(), "server still missing") {
		t.Errorf("error %v", err)
	}
}

func TestWhereNothingCanBeInstalledThePackagesAreNamed(t *testing.T) {
	t.Parallel()
	notRoot, ran := bare(t)
	notRoot.root = false
	noApt, ranToo := bare(t)
	noApt.find = func(string) bool { return false }
	for _, m := range []*machine{notRoot, noApt} {
		err := m.provide(t.Context(), needed)
		if err == nil || !strings.Contains(err.Error(), "missing cc-one, server;") || !strings.Contains(err.Error(), "compiler headers server-light") {
			t.Errorf("error %v", err)
		}
	}
	if len(*ran)+len(*ranToo) > 0 {
		t.Errorf("ran %q %q", *ran, *ranToo)
	}
}

func TestAServicePolicyOfAnotherProgramStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		ok     bool
	}{{"#!/bin/sh\nexit 101\n", true}, {"#!/bin/sh\nexit 0\n", false}} {
		m, ran := bare(t, "cc-one", "server")
		if err := os.WriteFile(m.policy, []byte(c.script), 0o700); err != nil {
			t.Fatal(err)
		}
		err := m.provide(t.Context(), needed)
		if (err == nil) != c.ok || (len(*ran) > 0) != c.ok {
			t.Errorf("with %q: error %v, ran %q", c.script, err, *ran)
		}
		if now, err := os.ReadFile(m.policy); err != nil || string(now) != c.script {
			t.Errorf("with %q: it is now %q, %v", c.script, now, err)
		}
	}
}

// A fuzz target that no step runs would be forgotten.
func TestEveryFuzzTargetHasAStep(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for file, text := range map[string]string{
		"a_test.go":                 "func FuzzTop(f *testing.F) {}",
		"b/c/d/e_test.go":           "func FuzzDeep(f *testing.F) {}\n\nfunc FuzzOther(f *testing.F) {}",
		"b/c/plain.go":              "func FuzzNoTest(f *testing.F) {}",
		"integration/f_test.go":     "func FuzzNested(f *testing.F) {}",
		"b/testdata/fuzz/x_test.go": "func FuzzData(f *testing.F) {}",
	} {
		path := filepath.Join(root, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := fuzzTargets(root)
	want := []fuzzTarget{{".", "FuzzTop"}, {"b/c/d", "FuzzDeep"}, {"b/c/d", "FuzzOther"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
