package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
)

// configVariable names the configuration where --config does not.
const configVariable = "AUTHGATE_CONFIG"

// defaultConfigs are where a configuration is looked for when nothing names one.
var defaultConfigs = [...]string{"authgate.yaml", "/etc/authgate/authgate.yaml"}

// noDefaultConfig names the places that were searched.
const noDefaultConfig = "(" + configVariable + " is not set, and neither ./authgate.yaml nor /etc/authgate/authgate.yaml exists)"

var errNoConfig = errors.New("no configuration is named; write --config FILE " + noDefaultConfig)

// findConfig gives the configuration that a command uses: the one that --config names,
// else AUTHGATE_CONFIG, else the first default that exists. A file that is named has
// to be there.
func findConfig(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if named = os.Getenv(configVariable); named != "" {
		return named, nil
	}
	for _, file := range defaultConfigs {
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file, nil
		}
	}
	return "", errNoConfig
}

const configUsage = "configuration `FILE` (default $" + configVariable + ", ./authgate.yaml or /etc/authgate/authgate.yaml)"

// addConfigFlag is for commands that cannot do without a configuration.
func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", configUsage)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	next := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := checkConfigFlag(cmd); err != nil {
			return err
		}
		if *file, err = findConfig(*file); err != nil || next == nil {
			return err
		}
		return next(cmd, args)
	}
}

// checkConfigFlag refuses --config "", which is mostly a variable that is not set.
func checkConfigFlag(cmd *cobra.Command) error {
	if f := cmd.Flags().Lookup("config"); f != nil && f.Changed && f.Value.String() == "" {
		return errors.New("--config is empty; name a file, or leave the flag out")
	}
	return nil
}
