// Package release holds .goreleaser.yaml and the workflows to what docs/install.md
// promises, with the pinned goreleaser and a snapshot for one platform.
package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/program"
)

const root = "../.."

// TestSnapshot releases linux/amd64 without signing and publishing, from a clone:
// goreleaser refuses a checkout with changes.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	goreleaser := filepath.Join(t.TempDir(), "goreleaser")
	run(t, filepath.Join(root, "tools", "release"), "go", "build", "-o", goreleaser, "github.com/goreleaser/goreleaser/v2")
	run(t, root, goreleaser, "check")

	clone := filepath.Join(t.TempDir(), "authgate")
	run(t, root, "git", "clone", "--quiet", ".", clone)
	config := onePlatform(t, filepath.Join(clone, ".goreleaser.yaml"))
	run(t, clone, goreleaser, "release", "--snapshot", "--clean", "--skip=sign", "--config", config)

	archive := only(t, filepath.Join(clone, "dist", "*_linux_amd64.tar.gz"))
	files := untar(t, archive)
	for _, want := range []string{
		"authgate", "LICENSE", "README.md", "man/authgate.1.gz", "man/authgate-policy-can.1.gz",
		"completion/authgate.bash", "completion/authgate.zsh", "completion/authgate.fish",
	} {
		if _, ok := files[want]; !ok {
			t.Errorf("%s lacks %s", filepath.Base(archive), want)
		}
	}
	binary := filepath.Join(t.TempDir(), "authgate")
	if err := os.WriteFile(binary, files["authgate"], 0o755); err != nil {
		t.Fatal(err)
	}
	if out := run(t, root, binary, "version"); !regexp.MustCompile(`^authgate v\d+\.\d+\.\d+-snapshot `).MatchString(out) {
		t.Errorf("the binary says %q", out)
	}
	for _, format := range []string{"deb", "rpm", "apk"} {
		only(t, filepath.Join(clone, "dist", "*."+format))
	}
	checkPackage(t, only(t, filepath.Join(clone, "dist", "*.deb")))
	if cask := read(t, only(t, filepath.Join(clone, "dist", "homebrew", "Casks", "*.rb"))); !strings.Contains(cask, `binary "authgate"`) {
		t.Errorf("the cask installs no binary:\n%s", cask)
	}
}

// onePlatform writes a copy of the configuration that builds for linux/amd64 only.
func onePlatform(t *testing.T, path string) string {
	t.Helper()
	text := read(t, path)
	for _, change := range [][2]string{{"goos: [linux, darwin, windows]", "goos: [linux]"}, {"goarch: [amd64, arm64]", "goarch: [amd64]"}} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("%s does not say %q", path, change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	config := filepath.Join(t.TempDir(), "one.yaml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return config
}

// checkPackage checks where a package puts things, and who may read them.
func checkPackage(t *testing.T, deb string) {
	t.Helper()
	listing := run(t, root, "dpkg-deb", "--contents", deb)
	for _, want := range []string{
		`-rwxr-xr-x root/root .* \./usr/bin/authgate$`,
		`drwx------ root/root .* \./etc/authgate/secrets/$`,
		`-rw-r--r-- root/root .* \./etc/authgate/authgate\.yaml$`,
		`-rw-r--r-- root/root .* \./usr/lib/systemd/system/authgate\.service$`,
		`-rw-r--r-- root/root .* \./usr/share/man/man1/authgate\.1\.gz$`,
		`-rw-r--r-- root/root .* \./usr/share/bash-completion/completions/authgate$`,
	} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(listing) {
			t.Errorf("the package lacks %s", want)
		}
	}
	if conffiles := run(t, root, "dpkg-deb", "--info", deb, "conffiles"); !strings.Contains(conffiles, "/etc/authgate/policy.csv") {
		t.Errorf("an upgrade would overwrite what an operator changed: conffiles are %q", conffiles)
	}
}

// TestPackagedConfigurationIsAccepted gives the packaged authgate.yaml the secrets
// that its comments name.
func TestPackagedConfigurationIsAccepted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary, err := program.Authgate(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(root, "deploy", "package", "authgate.yaml"))
	text = strings.ReplaceAll(text, "/run/credentials/authgate.service/secrets_", dir+"/")
	// A certificate needs no check here.
	text = regexp.MustCompile(`(?m)^tls:\n(  .*\n)+`).ReplaceAllString(text, "")
	for name, content := range map[string]string{
		"authgate.yaml": text, "policy.csv": read(t, filepath.Join(root, "deploy", "package", "policy.csv")),
		"client-id": "authgate", "client-secret": "secret-of-a-test", "session-keys": run(t, root, binary, "keygen"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, binary, "config", "check", "--config", "authgate.yaml")
}

// TestUnitIsHardened checks what docs/install.md says of the unit.
func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	unit := read(t, filepath.Join(root, "deploy", "package", "authgate.service"))
	for _, want := range []string{"DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "RestartPreventExitStatus=3"} {
		if !strings.Contains(unit, "\n"+want+"\n") {
			t.Errorf("the unit does not say %s", want)
		}
	}
}

// TestActionsArePinned: a tag can be moved to other code, a commit cannot.
func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("workflows %v, %v", files, err)
	}
	uses := regexp.MustCompile(`(?m)\buses: *(\S+)(.*)$`)
	pinned := regexp.MustCompile(`@[0-9a-f]{40}$`)
	for _, file := range files {
		found := uses.FindAllStringSubmatch(read(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s uses no action", file)
		}
		for _, m := range found {
			if !pinned.MatchString(m[1]) || !strings.HasPrefix(m[2], " # v") {
				t.Errorf("%s: %s%s is not pinned by commit, with its version as a comment", file, m[1], m[2])
			}
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, failure.String())
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %v (%v)", pattern, found, err)
	}
	return found[0]
}

func untar(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
