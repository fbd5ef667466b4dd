"""Short answers to questions about pictures: VQAv2 and its relatives, GQA, DocVQA, ChartQA, DAQUAR."""
