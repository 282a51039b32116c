package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
)

// ConfigVariable names the configuration where --config does not.
const ConfigVariable = "AUTHGATE_CONFIG"

// defaultConfigs are where a configuration is looked for when nothing names one.
var defaultConfigs = [...]string{"authgate.yaml", "/etc/authgate/authgate.yaml"}

// NoDefaultConfig names the places that were searched.
const NoDefaultConfig = "(" + ConfigVariable +
	" is not set, and neither ./authgate.yaml nor /etc/authgate/authgate.yaml exists)"

var errNoConfig = errors.New("no configuration is named; write --config FILE " + NoDefaultConfig)

// FindConfig gives the configuration that a command uses: the one that --config names,
// else AUTHGATE_CONFIG, else the first default that exists. A file that is named has
// to be there.
func FindConfig(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if named = os.Getenv(ConfigVariable); named != "" {
		return named, nil
	}
	for _, file := range defaultConfigs {
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file, nil
		}
	}
	return "", errNoConfig
}

const ConfigUsage = "configuration `FILE` (default $" + ConfigVariable +
	", ./authgate.yaml or /etc/authgate/authgate.yaml)"

// AddConfigFlag is for commands that cannot do without a configuration.
func AddConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", ConfigUsage)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	next := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := CheckConfigFlag(cmd); err != nil {
			return err
		}
		if *file, err = FindConfig(*file); err != nil || next == nil {
			return err
		}
		return next(cmd, args)
	}
}

// CheckConfigFlag refuses --config "", which is mostly a variable that is not set.
func CheckConfigFlag(cmd *cobra.Command) error {
	if f := cmd.Flags().Lookup("config"); f != nil && f.Changed && f.Value.String() == "" {
		return errors.New("--config is empty; name a file, or leave the flag out")
	}
	return nil
}
