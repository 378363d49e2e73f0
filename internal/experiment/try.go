package experiment

import (
	"context"

	"github.com/stackmeter/stackmeter/internal/trial"
)

// Try puts a configuration's settings in force without a load, to learn whether they can
// be had. They stay until the next trial, or until the bench is closed.
func (b *Bench) Try(ctx context.Context, c Config) error {
	cpus, err := b.cpus(c)
	if err != nil {
		return err
	}
	var scratch trial.Trial
	_, err = b.configure(ctx, c, cpus, &scratch)
	return err
}
