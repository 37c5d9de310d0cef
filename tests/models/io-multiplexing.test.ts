import { expectContract } from '../contract/suite.js'

expectContract('io-multiplexing')
