module fanfare/benches/go

go 1.19
