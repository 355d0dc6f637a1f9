module peers

go 1.26

require chainguard.dev/apko v1.2.37

replace chainguard.dev/sdk => chainguard.dev/sdk v0.1.158
