// Read the same cgroups with containerd/cgroups, by the protocol of remote.py: a
// line of JSON with the task, then a pass for each line, and its nanoseconds.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/containerd/cgroups"
	v1 "github.com/containerd/cgroups/stats/v1"
)

// A controller returns all its figures of a cgroup at once.
type controller interface {
	Stat(path string, stats *v1.Metrics) error
}

type part struct {
	Controller string
	Paths      []string
}

type task struct {
	Root  string
	Parts []part
}

func controllerOf(root, name string) controller {
	switch name {
	case "memory":
		return cgroups.NewMemory(root, cgroups.IgnoreModules("memsw", "kmem", "kmem.tcp"))
	case "cpu":
		return cgroups.NewCpu(root)
	case "cpuacct":
		return cgroups.NewCpuacct(root)
	case "pids":
		return cgroups.NewPids(root)
	case "blkio":
		return cgroups.NewBlkio(root)
	}
	log.Fatalf("no controller %q", name)
	return nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	var todo task
	if !lines.Scan() {
		log.Fatal("no task")
	}
	if err := json.Unmarshal(lines.Bytes(), &todo); err != nil {
		log.Fatal(err)
	}
	controllers := make([]controller, len(todo.Parts))
	for i, part := range todo.Parts {
		controllers[i] = controllerOf(todo.Root, part.Controller)
	}
	fmt.Println("ready")
	for lines.Scan() {
		start := time.Now()
		for i, part := range todo.Parts {
			for _, path := range part.Paths {
				metrics := v1.Metrics{CPU: &v1.CPUStat{Throttling: &v1.Throttle{}, Usage: &v1.CPUUsage{}}}
				if err := controllers[i].Stat(path, &metrics); err != nil {
					log.Fatal(err)
				}
			}
		}
		fmt.Println(time.Since(start).Nanoseconds())
	}
}
