import { expectContract } from '../contract/suite.js'

expectContract('process-pool2')
