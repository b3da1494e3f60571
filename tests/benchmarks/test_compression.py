from benchmarks.compression import summarise


def test_means_over_the_seeds_of_each_case():
    numbers = {"float32": "4000", "gzip": "2000", "gzip_after": "400", "seconds": "1"}
    vgg = {"arch": "vgg11", "width": "0.25", "training": "", "flags": "--bits 4"} | numbers
    squeezed = {"arch": "squeezenet1_1", "width": "0.5", "training": "--epochs 48", "flags": "--bits 4"} | numbers
    rows = [
        vgg | {"network": "0.99", "compressed": "0.98", "bytes": "100"},
        squeezed | {"network": "0.9", "compressed": "0.95", "bytes": "200"},
        vgg | {"network": "0.97", "compressed": "0.96", "bytes": "60"},
    ]
    first, second = summarise(rows)
    assert first == [
        *("vgg11", "0.25", "", "--bits 4", "2", "98.00%", "97.00%", "+1.00"),
        *("4,000", "100, 60", "50.0", "2.00", "10.0", "49"),
    ]
    assert second[2:8] == ["--epochs 48", "--bits 4", "1", "90.00%", "95.00%", "-5.00"]
